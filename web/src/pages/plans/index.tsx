import { Page } from '../../parts/page'

export default function Soon() {
  return <Page title="plans">…</Page>
}
