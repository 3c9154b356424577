import { Page } from '../../parts/page'

export default function Soon() {
  return <Page title="gate_reviews">…</Page>
}
