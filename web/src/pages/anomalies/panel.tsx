import { Alert, Button, Descriptions, Drawer, Form, Input, Space, Spin } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { Link, useNavigate } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { Copy } from '../../parts/copy'
import { readDraft } from '../../parts/draft'
import { Failed } from '../../parts/failed'
import { List, usePhone } from '../../parts/list'
import { EmergencyOffline, OrderForm } from '../../parts/order'
import { usePersonName, useServiceName } from '../../parts/names'
import { stamp, When } from '../../parts/when'
import { Why } from '../../parts/verdict'
import { KindTag, SeverityTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { assessed, typedIn } from './decide'

/** AnomalyPanel shows one anomaly with its signals, and what can be decided about it. Ask opens one of its forms at once. */
export function AnomalyPanel({ id, close, ask, asked }: { id: string; close: () => void; ask?: 'dismiss' | 'contain' | 'promote'; asked: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const go = useNavigate()
  const phone = usePhone()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/anomalies/{id}', { params: { path: { id } } })
  const orders = api.useQuery('get', '/api/v1/orders', { params: { query: { cause: 'anomaly', cause_id: id, state: 'in_force' } } }, { enabled: may('order.read') })
  const service = useServiceName()
  const [form, setForm] = useState(ask)
  useEffect(() => setForm(ask), [ask])
  const shut = () => {
    setForm(undefined)
    asked()
  }
  const x = data?.anomaly
  const serviceName = x ? service(x.service_id) : ''
  const open = x?.state === 'open' || x?.state === 'assessing'
  const person = usePersonName()
  const assess = (header: { 'Idempotency-Key': string }) => client.POST('/api/v1/anomalies/{id}/assess', { params: { path: { id }, header } })
  const unsent = x && !open ? ['promote', 'dismiss'].map((f) => typedIn(readDraft(`anomaly.${id}.${f}`))).filter(Boolean).join('\n') : ''
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 760} title={x ? <>{x.number} <KindTag kind={x.kind} /> <SeverityTag severity={x.severity} /></> : t('menu.anomalies')} closable={{ 'aria-label': t('common.close') }}>
      {error ? <Failed error={error} retry={() => void refetch()} /> : null}
      {!x ? !error && <Spin /> : (
        <>
          {x.incident_id && <Alert type="info" showIcon title={<Link to={`/incidents/${x.incident_id}`}>{t('anomalies.promoted')}</Link>} />}
          {!open && (
            <Alert
              type="info"
              showIcon
              title={<>{t('anomalies.decided', { name: (x.decided_by ?? '').length === 26 ? person(x.decided_by!) : t('anomalies.by_system'), state: word('anomaly.state', x.state) })} <When ms={x.decided_ms ?? 0} /></>}
              description={unsent && <>{t('anomalies.unsent')}<Copy text={unsent} label={t('anomalies.unsent')} /></>}
            />
          )}
          {open && may('anomaly.assess') && (
            <Space wrap className="panel-acts">
              {x.state === 'open' && <ActButton type="primary" call={assess}>{t('anomalies.assess')}</ActButton>}
              {may('order.issue') && (
                <>
                  <OrderForm cause={{ cause: 'anomaly', cause_id: id }} serviceId={x.service_id} label={t('anomalies.contain')} open={form === 'contain' || undefined} onClose={shut} />
                  <EmergencyOffline cause={{ cause: 'anomaly', cause_id: id }} serviceId={x.service_id} serviceName={serviceName} />
                </>
              )}
              {may('incident.declare') && (
                <ActForm<{ title: string }>
                  label={t('anomalies.promote')}
                  draft={`anomaly.${id}.promote`}
                  initial={{ title: `${serviceName} ${word('risk', x.risk) || word('signal_rule', x.rule_id)}`.trim() }}
                  open={form === 'promote' || undefined}
                  onClose={shut}
                  button={{ type: 'primary' }}
                  fields={
                    <Form.Item name="title" label={t('anomalies.title')} extra={t('anomalies.title_what')} rules={[{ required: true, message: t('common.required', { name: t('anomalies.title') }) }]}>
                      <Input maxLength={200} />
                    </Form.Item>
                  }
                  call={(v, headers) => assessed(x.state, headers, assess, (header) => client.POST('/api/v1/anomalies/{id}/promote', { params: { path: { id }, header }, body: v }))}
                  then={(i: Schema<'Incident'>) => void go(`/incidents/${i.id}`)}
                />
              )}
              <ActForm<{ reason: string }>
                label={t('anomalies.dismiss')}
                draft={`anomaly.${id}.dismiss`}
                open={form === 'dismiss' || undefined}
                onClose={shut}
                fields={
                  <Form.Item name="reason" label={t('common.reason')} extra={t('anomalies.dismiss_what')} rules={[{ required: true, message: t('common.required', { name: t('common.reason') }) }]}>
                    <Input.TextArea rows={3} maxLength={2000} />
                  </Form.Item>
                }
                call={(v, headers) => assessed(x.state, headers, assess, (header) => client.POST('/api/v1/anomalies/{id}/dismiss', { params: { path: { id }, header }, body: v }))}
              />
            </Space>
          )}
          {(orders.data?.items.length ?? 0) > 0 && (
            <Alert type="success" showIcon title={t('anomalies.contained')} description={orders.data!.items.map((o) => <div key={o.id}><Link to={`/orders/${o.id}`}>{word('rung', o.rung)}</Link> <When ms={o.issued_ms} /></div>)} />
          )}
          <Descriptions
            size="small"
            column={phone ? 1 : 2}
            className="gap-top"
            items={[
              { key: 'state', label: t('anomalies.state'), children: word('anomaly.state', x.state) },
              { key: 'service', label: t('anomalies.service'), children: serviceName },
              { key: 'risk', label: t('anomalies.risk'), children: word('risk', x.risk) },
              { key: 'category', label: t('anomalies.category'), children: word('guide_type', x.category) },
              { key: 'rule', label: t('anomalies.rule'), children: word('signal_rule', x.rule_id) },
              { key: 'signals', label: t('anomalies.signals'), children: t('anomalies.n_of', { signals: x.signals, subjects: x.subjects }) },
              { key: 'first', label: t('anomalies.first'), children: <When ms={x.first_ms} /> },
              { key: 'last', label: t('anomalies.last'), children: <When ms={x.last_ms} /> },
              { key: 'fp', label: t('anomalies.fingerprint'), children: <span className="mono">{x.fingerprint}</span> },
              ...(x.reason ? [{ key: 'reason', label: t('anomalies.dismissed_for'), children: x.reason }] : []),
              ...(x.merged_into ? [{ key: 'merged', label: t('anomalies.merged_into'), children: <Link to={`/anomalies/${x.merged_into}`}>{t('anomalies.see')}</Link> }] : []),
            ]}
          />
          <h2>{t('anomalies.signals')}</h2>
          <Signals of={id} rows={data.signals} />
          <Button onClick={close}>{t('common.close')}</Button>
        </>
      )}
    </Drawer>
  )
}

function Signals({ of, rows }: { of: string; rows: Schema<'AnomalySignal'>[] }) {
  const { t } = useTranslation()
  const { word } = useWords()
  return (
    <List<Schema<'AnomalySignal'>>
      name={t('anomalies.signals')}
      inAddress={false}
      rows={rows}
      rowKey={(s) => s.id}
      empty={t('anomalies.no_signals')}
      filters={[
        { key: 'source', title: t('anomalies.source'), of: (s) => s.source, label: (v) => word('signal_source', v) },
        { key: 'action', title: t('anomalies.action'), of: (s) => s.action, label: (v) => word('verdict', v) },
      ]}
      columns={[
        { key: 'at', title: t('anomalies.at'), text: (s) => stamp(s.at_ms), show: (s) => <When ms={s.at_ms} /> },
        { key: 'source', title: t('anomalies.source'), text: (s) => `${word('signal_source', s.source)}${s.side ? ` · ${word('side', s.side)}` : ''}` },
        { key: 'rule', title: t('anomalies.rule'), text: (s) => s.rule, wide: true },
        { key: 'action', title: t('anomalies.action'), text: (s) => word('verdict', s.action) },
        { key: 'content', title: t('anomalies.content'), text: (s) => s.content_no, show: (s) => <><span className="mono">{s.content_no}</span> {s.content_no && <Why of={{ anomaly: of, content: s.content_no }} name={s.content_no} />}</> },
        { key: 'complaint', title: t('anomalies.complaint'), text: (s) => s.complaint_id, show: (s) => s.complaint_id && <Link to={`/complaints/${s.complaint_id}`}>{t('anomalies.see')}</Link> },
      ]}
    />
  )
}
