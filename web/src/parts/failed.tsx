import { Alert, Button } from 'antd'
import { useTranslation } from '../shell/language'
import { isProblem } from '../api/client'

/** useSentence puts what went wrong into one sentence that says what to do. */
export function useSentence(): (e: unknown) => string {
  const { t } = useTranslation()
  return (e) => {
    if (!isProblem(e)) return t('common.failed_unknown')
    if (e.status === 0) return t('common.failed_network')
    return e.id ? `${e.detail} (${e.id})` : e.detail
  }
}

/** Failed says that something could not be read, and offers to try again. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation()
  const sentence = useSentence()
  return <Alert type="error" showIcon role="alert" title={sentence(error)} action={retry && <Button size="small" onClick={retry}>{t('common.retry')}</Button>} />
}
