import { Result } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'

export default function Nowhere() {
  const { t } = useTranslation()
  return <Result status="404" title={t('shell.nowhere')} extra={<Link to="/">{t('shell.home')}</Link>} />
}
