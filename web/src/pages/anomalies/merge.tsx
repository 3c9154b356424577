import { Form, Radio } from 'antd'
import { useTranslation } from '../../shell/language'
import { client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { stamp } from '../../parts/when'

/** MergeForm joins the chosen anomalies into one of them; it stops at the first that the server refuses. */
export function MergeForm({ rows, done }: { rows: Schema<'FlowAnomalyItem'>[]; done: () => void }) {
  const { t } = useTranslation()
  return (
    <ActForm<{ into: string }>
      label={t('anomalies.merge', { n: rows.length })}
      draft="anomalies.merge"
      initial={{ into: rows[rows.length - 1]?.id }}
      fields={
        <Form.Item name="into" label={t('anomalies.merge_into')} extra={t('anomalies.merge_what')} rules={[{ required: true, message: t('common.required', { name: t('anomalies.merge_into') }) }]}>
          <Radio.Group options={rows.map((r) => ({ value: r.id, label: `${r.number} · ${stamp(r.first_ms)} · ${t('anomalies.n_signals', { n: r.signals })}` }))} vertical />
        </Form.Item>
      }
      call={async (v, header) => {
        let last: { data?: unknown; error?: unknown } = {}
        for (const r of rows) {
          if (r.id === v.into) continue
          last = await client.POST('/api/v1/anomalies/{id}/merge', { params: { path: { id: r.id }, header: { 'Idempotency-Key': `${header['Idempotency-Key']}-${r.id}` } }, body: { into: v.into } })
          if (last.error) return last
        }
        return last
      }}
      then={done}
    />
  )
}
