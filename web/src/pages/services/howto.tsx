import { useTranslation } from '../../shell/language'
import { api } from '../../api/client'
import { Copy } from '../../parts/copy'
import { useMay } from '../../shell/session'

/** HowTo says how a client is pointed at the gateway instead of the model. */
export function HowTo({ model }: { model: string }) {
  const { t } = useTranslation()
  const may = useMay()
  const { data } = api.useQuery('get', '/api/v1/status', {}, { enabled: may('status.read'), staleTime: 60_000 })
  const base = `${data?.gateway_url ?? 'http://GATEWAY'}/v1`
  const call = `curl ${base}/chat/completions \\
  -H 'Authorization: Bearer fsk-…' \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify({ model, user: 'USER-ID', messages: [{ role: 'user', content: 'Hello' }] })}'`
  return (
    <>
      <p>{t('services.howto_what')}</p>
      <Copy label={t('services.howto_base')} text={`OPENAI_BASE_URL=${base}\nOPENAI_API_KEY=fsk-…`} />
      <p>{t('services.howto_try')}</p>
      <Copy label={t('services.howto_try')} text={call} />
    </>
  )
}
