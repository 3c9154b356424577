import { Alert, Button } from 'antd'
import { Component, type ReactNode } from 'react'
import { useTranslation } from './language'

/** Boundary keeps a broken page from taking the desk with it. */
export class Boundary extends Component<{ children: ReactNode }, { broken: boolean }> {
  state = { broken: false }
  static getDerivedStateFromError() {
    return { broken: true }
  }
  render() {
    return this.state.broken ? <Broken /> : this.props.children
  }
}

function Broken() {
  const { t } = useTranslation()
  return <Alert type="error" showIcon role="alert" title={t('shell.broken')} action={<Button onClick={() => location.reload()}>{t('common.reload')}</Button>} />
}
