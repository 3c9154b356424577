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

/** worthRetrying tells a failure that may pass from one that stays: what is not there or not allowed is so the next time too. */
export const worthRetrying = (e: unknown) => !isProblem(e) || (e.status !== 403 && e.status !== 404)

/** Failed says that something could not be read, and offers to try again where that can help. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation()
  const sentence = useSentence()
  return <Alert type="error" showIcon role="alert" title={sentence(error)} action={retry && worthRetrying(error) && <Button size="small" onClick={retry}>{t('common.retry')}</Button>} />
}
