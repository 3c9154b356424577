import { Alert, Descriptions, Drawer, Form, Input, Select, Space, Spin } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { Failed } from '../../parts/failed'
import { usePhone } from '../../parts/list'
import { usePersonName, useServiceName } from '../../parts/names'
import { Countdown, useNow, When } from '../../parts/when'
import { KindTag, Measure, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { failing } from './probes'

const undoMs = 60_000 // the server decides; this only hides the button afterwards

/** OrderPanel shows one order: who obeys it, what the probe saw, and how it ends. */
export function OrderPanel({ id, close }: { id: string; close: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const phone = usePhone()
  const now = useNow()
  const service = useServiceName()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/orders/{id}', { params: { path: { id } } }, { refetchInterval: 3000 })
  const reviews = api.useQuery('get', '/api/v1/gate-reviews', { params: { query: { order_id: id } } })
  const o = data?.order
  const person = usePersonName()
  const failed = o?.state === 'in_force' ? failing(data!.probes) : []
  const listed = api.useQuery('get', '/api/v1/orders', { params: { query: { incident_id: o?.incident_id, limit: 1 } } }, { enabled: !!o?.incident_id })
  const number = listed.data?.items[0]?.incident_number
  const why = reviews.data?.find((r) => r.direction === 'offline')?.ground
  const reason = (label: string) => (
    <Form.Item name="reason" label={label} rules={[{ required: true, message: t('common.required', { name: label }) }]}>
      <Input.TextArea rows={3} maxLength={2000} />
    </Form.Item>
  )
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 720} title={o ? <>{word('rung', o.rung)} <Measure measure={o.measure} /> <KindTag kind={o.kind} /></> : t('menu.orders')} closable={{ 'aria-label': t('common.close') }}>
      {error ? <Failed error={error} retry={() => void refetch()} /> : null}
      {!o ? !error && <Spin /> : (
        <>
          <Alert
            type={o.state !== 'in_force' ? 'info' : failed.length > 0 ? 'error' : data.proven ? 'success' : data.acknowledged ? 'info' : 'warning'}
            showIcon
            title={o.state !== 'in_force' ? word('order.state', o.state) : failed.length > 0 ? `✗ ${t('orders.failed', { gateways: failed.map((p) => `${p.gateway_id}：${word('probe', p.detail)}`).join('；') })}` : data.proven ? t('orders.proven') : data.acknowledged ? t('orders.acknowledged') : t('orders.unacknowledged', { missing: data.missing.join('、') })}
          />
          <Space wrap className="panel-acts">
            {o.state === 'in_force' && o.rung === 'service_offline' && may('order.issue') && now - o.issued_ms < undoMs && (
              <ActForm<{ reason: string }> label={t('orders.undo')} draft={`order.${id}.undo`} fields={reason(t('common.reason'))} call={(v, header) => client.POST('/api/v1/orders/{id}/undo', { params: { path: { id }, header }, body: v })} />
            )}
            {o.state === 'in_force' && o.rung !== 'service_offline' && may('order.lift') && (
              <ActForm<{ reason: string }> label={t('orders.lift')} title={t('orders.lift_what')} draft={`order.${id}.lift`} fields={reason(t('common.reason'))} call={(v, header) => client.POST('/api/v1/orders/{id}/lift', { params: { path: { id }, header }, body: v })} done={t('orders.lift_asked')} />
            )}
            {o.state === 'in_force' && o.rung === 'service_offline' && may('gatereview.request') && <OnlineForm order={o} />}
            {!o.incident_id && o.state === 'in_force' && may('order.issue') && <AdoptForm id={id} />}
          </Space>
          <Descriptions
            size="small"
            column={phone ? 1 : 2}
            items={[
              { key: 'service', label: t('orders.service'), children: service(o.service_id) },
              { key: 'incident', label: t('orders.incident'), children: o.incident_id ? <Link to={`/incidents/${o.incident_id}`}>{number ?? t('orders.see')}</Link> : <strong className="clock late">‼ {t('orders.orphan')}</strong> },
              { key: 'cause', label: t('orders.cause'), children: word('cause', o.cause) },
              { key: 'release', label: t('orders.release'), children: word('release_mode', o.release_mode) },
              { key: 'issued', label: t('orders.issued'), children: <When ms={o.issued_ms} /> },
              { key: 'by', label: t('orders.by'), children: o.issued_by.length === 26 ? person(o.issued_by) : t('orders.by_system') },
              { key: 'expires', label: t('orders.expires'), children: o.state === 'in_force' ? <Countdown dueMs={o.expires_ms} /> : <When ms={o.ended_ms ?? 0} /> },
              { key: 'scope', label: t('orders.scope'), span: 'filled' as const, children: [o.scope.deployment_id, o.scope.route, o.scope.tenant_id, o.scope.group, o.scope.subject].filter(Boolean).join(' · ') || t('orders.whole') },
              ...(o.params.topic_ids?.length ? [{ key: 'topics', label: t('order.topics'), children: o.params.topic_ids.join('、') }] : []),
              ...(o.params.allowed_groups?.length ? [{ key: 'groups', label: t('order.groups'), children: o.params.allowed_groups.join('、') }] : []),
              ...(o.params.notice ? [{ key: 'notice', label: t('order.notice_zh'), children: o.params.notice.zh }] : []),
              ...(why ? [{ key: 'why', label: t('orders.reason'), span: 'filled' as const, children: why }] : []),
              ...(o.ended_reason ? [{ key: 'ended', label: t('orders.ended_for'), children: o.ended_reason }] : []),
            ]}
          />
          <h2>{t('orders.acks')}</h2>
          <table className="plain">
            <thead><tr><th>{t('orders.gateway')}</th><th>{t('orders.at')}</th><th>{t('orders.delay')}</th><th>{t('orders.cut')}</th></tr></thead>
            <tbody>
              {data.acks.map((a) => <tr key={a.gateway_id}><td>{a.gateway_id}</td><td><When ms={a.at_ms} /></td><td>{t('orders.ms', { n: a.at_ms - o.issued_ms })}</td><td>{a.streams_cut}</td></tr>)}
              {data.acks.length === 0 && <tr><td colSpan={4}>{t('orders.no_acks')}</td></tr>}
            </tbody>
          </table>
          <h2>{t('orders.probes')}</h2>
          <table className="plain">
            <thead><tr><th>{t('orders.at')}</th><th>{t('orders.gateway')}</th><th>{t('orders.found')}</th></tr></thead>
            <tbody>
              {[...data.probes].reverse().slice(0, 20).map((p) => <tr key={p.id}><td><When ms={p.at_ms} /></td><td>{p.gateway_id}</td><td className={p.effective ? undefined : 'clock late'}>{p.effective ? '✓' : '✗'} {word('probe', p.detail)}</td></tr>)}
              {data.probes.length === 0 && <tr><td colSpan={3}>{t('orders.no_probes')}</td></tr>}
            </tbody>
          </table>
          {(reviews.data?.length ?? 0) > 0 && <p><Link to="/gate-reviews">{t('orders.reviews', { n: reviews.data!.length })}</Link></p>}
        </>
      )}
    </Drawer>
  )
}

function OnlineForm({ order }: { order: Schema<'ContainmentOrder'> }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const incident = api.useQuery('get', '/api/v1/incidents/{id}', { params: { path: { id: order.incident_id } } }, { enabled: order.incident_id !== '' })
  const tests = incident.data?.service_tests ?? []
  return (
    <ActForm<{ ground: string; service_test_id: string }>
      label={t('orders.online')}
      draft={`order.${order.id}.online`}
      initial={{ service_test_id: tests.find((x) => x.state === 'passed')?.id }}
      fields={
        <>
          <Form.Item name="service_test_id" label={t('orders.service_test')} extra={t('orders.service_test_what')} rules={[{ required: true, message: t('common.required', { name: t('orders.service_test') }) }]}>
            <Select options={tests.map((x) => ({ value: x.id, label: `${word('service_test.state', x.state)} · ${x.id.slice(-6)}` }))} />
          </Form.Item>
          <Form.Item name="ground" label={t('orders.ground')} rules={[{ required: true, message: t('common.required', { name: t('orders.ground') }) }]}>
            <Input.TextArea rows={3} maxLength={2000} />
          </Form.Item>
        </>
      }
      call={(v, header) => client.POST('/api/v1/orders/{id}/online-review', { params: { path: { id: order.id }, header }, body: v })}
      done={t('orders.online_asked')}
    />
  )
}

function AdoptForm({ id }: { id: string }) {
  const { t } = useTranslation()
  const incidents = api.useQuery('get', '/api/v1/incidents', { params: { query: { limit: 200 } } })
  return (
    <ActForm<{ incident_id: string }>
      label={t('orders.adopt')}
      draft={`order.${id}.adopt`}
      button={{ type: 'primary' }}
      fields={
        <Form.Item name="incident_id" label={t('orders.incident')} extra={t('orders.adopt_what')} rules={[{ required: true, message: t('common.required', { name: t('orders.incident') }) }]}>
          <Select showSearch={{ optionFilterProp: 'label' }} options={incidents.data?.items.filter((i) => i.state !== 'closed').map((i) => ({ value: i.id, label: `${i.number} ${i.title}` }))} />
        </Form.Item>
      }
      call={(v, header) => client.POST('/api/v1/orders/{id}/adopt', { params: { path: { id }, header }, body: v })}
    />
  )
}
