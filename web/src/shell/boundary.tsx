import { Alert, Button } from 'antd'
import { Component, type ReactNode } from 'react'
import { useTranslation } from './language'

/** Boundary keeps a broken page from taking the desk with it; another place (at) is tried anew. */
export class Boundary extends Component<{ at: string; children: ReactNode }, { broken: boolean }> {
  state = { broken: false }
  static getDerivedStateFromError() {
    return { broken: true }
  }
  componentDidUpdate(before: { at: string }) {
    if (this.state.broken && before.at !== this.props.at) this.setState({ broken: false })
  }
  render() {
    return this.state.broken ? <Broken /> : this.props.children
  }
}

function Broken() {
  const { t } = useTranslation()
  return <Alert type="error" showIcon role="alert" title={t('shell.broken')} action={<Button onClick={() => location.reload()}>{t('common.reload')}</Button>} />
}
