import { Form, Input, Radio, Space, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { Page } from '../../parts/page'
import { stamp, When } from '../../parts/when'
import { KindTag, useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'

type Row = Schema<'GatereviewReview'>

/** Gate reviews: an emergency offline is ratified, coming online again is approved; both by another person. */
export default function GateReviews() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const me = useMe()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/gate-reviews')
  return (
    <Page title={t('menu.gate_reviews')} lead={t('gate.lead')}>
      <List<Row>
        name={t('menu.gate_reviews')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(r) => r.id}
        empty={t('gate.empty')}
        filters={[
          { key: 'state', title: t('gate.state'), options: options('gate_review.state'), of: (r) => r.state },
          { key: 'direction', title: t('gate.direction'), options: options('gate_review.direction'), of: (r) => r.direction },
          { key: 'kind', title: t('gate.kind'), options: options('kind'), of: (r) => r.kind },
        ]}
        columns={[
          { key: 'direction', title: t('gate.direction'), text: (r) => word('gate_review.direction', r.direction), show: (r) => <>{word('gate_review.direction', r.direction)} <KindTag kind={r.kind} />{r.emergency && <Tag variant="outlined" color="red">⚡ {t('gate.emergency')}</Tag>}</> },
          { key: 'state', title: t('gate.state'), text: (r) => word('gate_review.state', r.state) },
          { key: 'incident', title: t('gate.incident'), text: (r) => r.incident_id, show: (r) => <Space>{r.incident_id && <Link to={`/incidents/${r.incident_id}`}>{t('gate.see_incident')}</Link>}<Link to={`/orders/${r.order_id}`}>{t('gate.see_order')}</Link></Space> },
          { key: 'ground', title: t('gate.ground'), text: (r) => r.ground },
          { key: 'requested', title: t('gate.requested'), sort: true, text: (r) => stamp(r.requested_ms), show: (r) => <When ms={r.requested_ms} /> },
          { key: 'decided', title: t('gate.decided'), text: (r) => stamp(r.decided_ms), show: (r) => (r.decided_ms ? <When ms={r.decided_ms} /> : t('common.none')), wide: true },
          { key: 'act', title: t('gate.act'), text: () => '', show: (r) => (r.state === 'requested' && may('gatereview.decide') ? r.requested_by === me.id ? t('gate.another') : <Decide review={r} /> : r.decision_reason) },
        ]}
      />
    </Page>
  )
}

/** Decide ratifies or approves, or refuses, each with a reason. */
export function Decide({ review }: { review: Pick<Row, 'id' | 'direction'> }) {
  const { t } = useTranslation()
  const path = review.direction === 'offline' ? ('/api/v1/gate-reviews/{id}/ratify' as const) : ('/api/v1/gate-reviews/{id}/decide' as const)
  return (
    <ActForm<{ approve: boolean; reason: string }>
      label={review.direction === 'offline' ? t('gate.ratify') : t('gate.decide')}
      draft={`gate.${review.id}`}
      button={{ type: 'primary', size: 'small' }}
      initial={{ approve: true }}
      fields={
        <>
          <Form.Item name="approve" label={t('gate.decision')}>
            <Radio.Group options={[{ value: true, label: t('gate.yes') }, { value: false, label: t('gate.no') }]} />
          </Form.Item>
          <Form.Item name="reason" label={t('common.reason')} rules={[{ required: true, whitespace: true, message: t('common.required', { name: t('common.reason') }) }]}>
            <Input.TextArea rows={3} maxLength={2000} />
          </Form.Item>
        </>
      }
      call={(v, header) => client.POST(path, { params: { path: { id: review.id }, header }, body: v })}
    />
  )
}
