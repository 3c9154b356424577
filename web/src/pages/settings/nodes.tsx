import { Form, Input, Select, Tag } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { usePersonName, useServiceName } from '../../parts/names'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useTranslation } from '../../shell/language'
import { useMay } from '../../shell/session'
import { Once, type Shown } from './once'

/** Nodes are the processes that serve here: control nodes, gateways, and what takes a service offline without control. */
export function Nodes() {
  const { t } = useTranslation()
  const [shown, show] = useState<Shown>()
  return (
    <>
      <h2>{t('settings.control_nodes')}</h2>
      <Control />
      <h2 className="gap-top">{t('settings.gateways')}</h2>
      <Gateways show={show} />
      <h2 className="gap-top">{t('settings.stop_tokens')}</h2>
      <Stops show={show} />
      <Once shown={shown} close={() => show(undefined)} />
    </>
  )
}

const signs: Record<string, string> = { serving: '✓', left: '–', gone: '✗' }

function Control() {
  const { t } = useTranslation()
  const { word } = useWords()
  const alone: Record<string, string> = { anomaly: t('settings.alone_anomaly'), evaluation: t('settings.alone_evaluation'), probes: t('settings.alone_probes') }
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/overview', {}, { refetchInterval: 15_000 })
  return (
    <>
      <p>{t('settings.control_nodes_what')}</p>
      <List<Schema<'Node'>>
        name={t('settings.control_nodes')}
        rows={data?.nodes}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(n) => n.id}
        empty={t('settings.no_nodes')}
        filters={[{ key: 'state', title: t('settings.state'), of: (n) => n.state, label: (v) => word('node.state', v) }]}
        columns={[
          { key: 'id', title: t('settings.node'), sort: true, text: (n) => n.id, show: (n) => <><span className="mono">{n.id}</span> {n.here && <Tag variant="outlined">{t('settings.node_here')}</Tag>}</> },
          { key: 'state', title: t('settings.state'), text: (n) => word('node.state', n.state), show: (n) => <span className={n.state === 'gone' ? 'clock late' : 'nowrap'}>{signs[n.state]} {word('node.state', n.state)}</span> },
          { key: 'version', title: t('settings.version'), text: (n) => n.version, show: (n) => <>{n.version}{n.behind.length > 0 && <div className="clock soon">⚠ {t('settings.behind', { modules: n.behind.join('、') })}</div>}</> },
          { key: 'leases', title: t('settings.leases'), wide: true, text: (n) => n.leases.map((l) => alone[l] ?? l).join('、') || t('common.none') },
          { key: 'started', title: t('settings.started'), sort: true, wide: true, text: (n) => stamp(n.started_ms), show: (n) => <When ms={n.started_ms} /> },
          { key: 'seen', title: t('settings.seen_last'), text: (n) => stamp(n.seen_ms), show: (n) => <When ms={n.seen_ms} /> },
        ]}
      />
    </>
  )
}

/** Gate is a gateway, with its membership if it is a process of its own. */
type Gate = Schema<'ContainmentGatewayRow'> & { apart?: Schema<'ContainmentMember'> }

function Gateways({ show }: { show: (s: Shown) => void }) {
  const { t } = useTranslation()
  const may = useMay()
  const known = api.useQuery('get', '/api/v1/gateways', {}, { refetchInterval: 15_000 })
  const members = api.useQuery('get', '/api/v1/gateways/members', {}, { refetchInterval: 15_000 })
  const reload = () => {
    void known.refetch()
    void members.refetch()
  }
  const rows: Gate[] | undefined = known.data && members.data && [
    ...known.data.map((g) => ({ ...g, apart: members.data.find((m) => m.id === g.id) })),
    ...members.data.filter((m) => !known.data.some((g) => g.id === m.id)).map((m) => ({ id: m.id, revision: 0, last_seen_ms: 0, effective: false, guards_silent: 0, apart: m })),
  ]
  const state = (g: Gate) => (g.apart?.revoked_ms ? t('settings.revoked') : g.effective ? t('settings.effective') : t('settings.not_effective'))
  return (
    <>
      <p>{t('settings.gateways_what')}</p>
      <List<Gate>
        name={t('settings.gateways')}
        rows={rows}
        error={known.error ?? members.error ?? undefined}
        loading={known.isLoading || members.isLoading}
        reload={reload}
        rowKey={(g) => g.id}
        empty={t('settings.no_gateways')}
        filters={[{ key: 'state', title: t('settings.state'), of: state, label: (v) => v }]}
        columns={[
          { key: 'id', title: t('settings.gateway'), sort: true, text: (g) => g.id, show: (g) => <><span className="mono">{g.id}</span> <Tag variant="outlined">{g.apart ? t('settings.apart') : t('settings.inside')}</Tag></> },
          { key: 'state', title: t('settings.state'), text: state, show: (g) => <span className={!g.effective && !g.apart?.revoked_ms ? 'clock late' : 'nowrap'}>{g.apart?.revoked_ms ? '–' : g.effective ? '✓' : '✗'} {state(g)}</span> },
          { key: 'version', title: t('settings.version'), text: (g) => g.apart?.version ?? '' },
          { key: 'streams', title: t('settings.streams'), text: (g) => (g.apart ? String(g.apart.streams) : '') },
          { key: 'waiting', title: t('settings.spool'), wide: true, text: (g) => (g.apart ? t('settings.spool_of', { mb: (g.apart.spool_bytes / 1_048_576).toFixed(1), folded: g.apart.folded, lost: g.apart.lost }) : ''), show: (g) => g.apart && <span className={g.apart.lost > 0 ? 'clock late' : ''}>{t('settings.spool_of', { mb: (g.apart.spool_bytes / 1_048_576).toFixed(1), folded: g.apart.folded, lost: g.apart.lost })}</span> },
          { key: 'url', title: t('settings.probed_at'), wide: true, text: (g) => g.apart?.url ?? '', show: (g) => (!g.apart ? null : g.apart.url ? <span className="mono">{g.apart.url}</span> : <span className="clock soon">⚠ {t('settings.no_probe')}</span>) },
          { key: 'seen', title: t('settings.seen_last'), text: (g) => stamp(g.last_seen_ms), show: (g) => (g.last_seen_ms ? <When ms={g.last_seen_ms} /> : t('common.none')) },
          {
            key: 'act',
            title: t('settings.act'),
            text: () => '',
            show: (g) =>
              (g.apart ? !g.apart.revoked_ms : !g.effective) && may('service.manage') ? (
                <ActForm<object>
                  label={t(g.apart ? 'settings.revoke_gateway' : 'settings.forget_gateway')}
                  title={t('settings.revoke_gateway_of', { name: g.id })}
                  draft={`settings.gateway.${g.id}`}
                  button={{ size: 'small', danger: true }}
                  fields={<p>{t(g.apart ? 'settings.revoke_gateway_what' : 'settings.forget_gateway_what')}</p>}
                  submit={t(g.apart ? 'settings.revoke_gateway' : 'settings.forget_gateway')}
                  call={(_, header) => client.POST('/api/v1/gateways/{id}/revoke', { params: { path: { id: g.id }, header } })}
                  then={reload}
                />
              ) : null,
          },
        ]}
        actions={
          may('service.manage') && (
            <ActForm<{ name: string; days: number }>
              label={t('settings.join_token')}
              draft="settings.join"
              initial={{ days: 1 }}
              fields={
                <>
                  <Form.Item name="name" label={t('settings.gateway_name')} extra={t('settings.gateway_name_what')} rules={[{ required: true, pattern: /^[a-z0-9][a-z0-9.-]{0,39}$/, message: t('settings.gateway_name_what') }]}><Input maxLength={40} /></Form.Item>
                  <Form.Item name="days" label={t('settings.lifetime')}><Select options={[1, 7, 14].map((n) => ({ value: n, label: t('settings.days', { n }) }))} /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/gateways/join-tokens', { params: { header }, body: { name: v.name, lifetime_ms: v.days * 86_400_000 } })}
              then={(j: Schema<'JoinIssued'>) => show({ what: t('settings.join_token_of', { name: j.name }), value: j.token, waiting: false, expiresMs: j.expires_ms })}
            />
          )
        }
      />
    </>
  )
}

type Stop = Schema<'ContainmentStop'>

function Stops({ show }: { show: (s: Shown) => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const serviceName = useServiceName()
  const personName = usePersonName()
  const services = api.useQuery('get', '/api/v1/services')
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/gateways/stop-tokens')
  const state = (s: Stop) => (s.used_ms ? t('settings.stop_used') : s.void_ms ? t('settings.stop_void') : t('settings.stop_ready'))
  const options = services.data?.filter((s) => s.kind !== 'drill').map((s) => ({ value: s.id, label: `${s.name} · ${word('kind', s.kind)}` }))
  return (
    <>
      <p>{t('settings.stop_tokens_what')}</p>
      <p>{t('settings.stop_how')} <code className="mono">fengsui gateway stop --token stop.json --data STATE</code></p>
      <List<Stop>
        name={t('settings.stop_tokens')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(s) => s.id}
        empty={t('settings.no_stops')}
        filters={[{ key: 'state', title: t('settings.state'), of: state, label: (v) => v }]}
        columns={[
          { key: 'service', title: t('settings.service'), text: (s) => serviceName(s.service_id), show: (s) => <Link to={`/services/${s.service_id}`}>{serviceName(s.service_id)}</Link> },
          { key: 'state', title: t('settings.state'), text: state, show: (s) => <span className="nowrap">{s.used_ms ? '●' : s.void_ms ? '–' : '✓'} {state(s)}</span> },
          { key: 'by', title: t('settings.sealed_by'), text: (s) => personName(s.issued_by) },
          { key: 'at', title: t('settings.sealed_at'), sort: true, text: (s) => stamp(s.issued_ms), show: (s) => <When ms={s.issued_ms} /> },
          { key: 'used', title: t('settings.stop_used'), wide: true, text: (s) => stamp(s.used_ms), show: (s) => (s.used_ms ? <><When ms={s.used_ms} /> · <span className="mono">{s.gateway_id}</span> {s.order_id && <Link to={`/orders/${s.order_id}`}>{t('settings.see_order')}</Link>}</> : t('common.none')) },
        ]}
        actions={
          may('order.issue') && (
            <ActForm<{ service: string }>
              label={t('settings.seal')}
              draft="settings.seal"
              fields={
                <>
                  <p>{t('settings.seal_what')}</p>
                  <Form.Item name="service" label={t('settings.service')} rules={[{ required: true, message: t('common.required', { name: t('settings.service') }) }]}><Select options={options} /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/services/{id}/stop-token', { params: { path: { id: v.service }, header } })}
              then={(s: Schema<'StopSealed'>) => {
                void refetch()
                show({ what: t('settings.stop_token_once'), value: JSON.stringify(s.token), waiting: false })
              }}
            />
          )
        }
      />
    </>
  )
}
