import { Form, Input, InputNumber, Select, Space, Tag } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { Failed } from '../../parts/failed'
import { List, usePhone } from '../../parts/list'
import { usePersonName, useServiceName } from '../../parts/names'
import { useServed } from '../../parts/served'
import { stamp, When } from '../../parts/when'
import { KindTag, useWords } from '../../parts/word'
import { language, useTranslation } from '../../shell/language'
import { useMay, useMe } from '../../shell/session'

/** Credentials that one administrator issued and another must confirm. */
export function Credentials() {
  const { t } = useTranslation()
  const me = useMe()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/credentials/waiting')
  const kinds: Record<string, string> = { invitation: t('settings.invitation'), token: t('settings.token'), oidc_binding: t('settings.binding') }
  const decide = (id: string, approve: boolean) => (header: { 'Idempotency-Key': string }) => client.POST('/api/v1/credentials/{id}/decide', { params: { path: { id }, header }, body: { approve } })
  return (
    <>
      <p>{t('settings.credentials_what')}</p>
      <List<Schema<'WaitingCredential'>>
        name={t('settings.credentials')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(c) => c.id}
        empty={t('settings.no_credentials')}
        filters={[{ key: 'kind', title: t('settings.kind'), of: (c) => c.kind, label: (v) => kinds[v] ?? v }]}
        columns={[
          { key: 'kind', title: t('settings.kind'), text: (c) => kinds[c.kind] ?? c.kind },
          { key: 'person', title: t('settings.for_whom'), text: (c) => c.person_name },
          { key: 'at', title: t('settings.asked'), text: (c) => stamp(c.requested_ms), show: (c) => <When ms={c.requested_ms} /> },
          {
            key: 'act',
            title: t('settings.act'),
            text: () => '',
            show: (c) =>
              c.requested_by === me.id ? t('settings.another') : (
                <Space wrap>
                  <ActButton size="small" type="primary" call={decide(c.id, true)} then={() => void refetch()}>{t('settings.confirm')}</ActButton>
                  <ActButton size="small" call={decide(c.id, false)} then={() => void refetch()}>{t('settings.reject')}</ActButton>
                </Space>
              ),
          },
        ]}
      />
    </>
  )
}

/** Roles shows what each role may do; policies decide it, and this only reads them. */
export function Roles() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const me = useMe()
  const phone = usePhone()
  const [one, setOne] = useState<string>()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/roles', {}, { staleTime: Infinity })
  if (error) return <Failed error={error} retry={() => void refetch()} />
  if (!data) return null
  const roles = options('role')
  const chosen = one ?? me.roles[0]
  const mine = (r: string) => me.roles.includes(r)
  return (
    <>
      <p>{t('settings.roles_lead')}</p>
      {phone ? (
        <>
          <Select className="list-search" aria-label={t('settings.role')} value={chosen} onChange={setOne} options={roles} />
          <ul className="rows gap-top">{data[chosen]?.map((a) => <li key={a}>✓ {word('permission', a)}</li>)}</ul>
        </>
      ) : (
        <div className="scroll-x matrix" tabIndex={0} role="region" aria-label={t('settings.roles')}>
          <table className="plain">
            <thead><tr><th scope="col">{t('settings.may')}</th>{roles.map((r) => <th scope="col" key={r.value} className={mine(r.value) ? 'chosen' : ''}>{r.label}{mine(r.value) && ` · ${t('settings.you')}`}</th>)}</tr></thead>
            <tbody>
              {options('permission').map((a) => (
                <tr key={a.value}>
                  <th scope="row" title={a.value}>{a.label}</th>
                  {roles.map((r) => <td key={r.value} className={mine(r.value) ? 'chosen' : ''}>{data[r.value]?.includes(a.value) ? <span role="img" aria-label={t('common.yes')}>✓</span> : <span className="off" role="img" aria-label={t('common.no')}>·</span>}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}

/** Keys of gateways stand with the service that they open. */
export function Keys() {
  const { t } = useTranslation()
  const { word } = useWords()
  const serviceName = useServiceName()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/keys')
  const state = (k: Schema<'ServiceGatewayKey'>) => (k.revoked_ms ? t('settings.revoked') : t('settings.good'))
  return (
    <>
      <p>{t('settings.keys_what')}</p>
      <List<Schema<'ServiceGatewayKey'>>
        name={t('settings.keys')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(k) => k.id}
        empty={t('settings.no_keys')}
        filters={[
          { key: 'kind', title: t('settings.kind'), of: (k) => k.traffic_kind, label: (v) => word('kind', v) },
          { key: 'state', title: t('settings.state'), of: state, label: (v) => v },
        ]}
        columns={[
          { key: 'service', title: t('settings.service'), sort: true, text: (k) => serviceName(k.service_id), show: (k) => <Link to={`/services/${k.service_id}`}>{serviceName(k.service_id)}</Link> },
          { key: 'label', title: t('settings.label'), text: (k) => k.label, show: (k) => <>{k.label || t('common.none')} <KindTag kind={k.traffic_kind} />{k.simulated && <Tag variant="outlined">{t('settings.simulated')}</Tag>}</> },
          { key: 'tenant', title: t('settings.tenant'), text: (k) => k.tenant },
          { key: 'group', title: t('settings.user_group'), wide: true, text: (k) => k.user_group },
          { key: 'state', title: t('settings.state'), text: state, show: (k) => <span className="nowrap">{k.revoked_ms ? '–' : '✓'} {state(k)}</span> },
          { key: 'issued', title: t('settings.issued'), sort: true, wide: true, text: (k) => stamp(k.created_ms), show: (k) => <When ms={k.created_ms} /> },
        ]}
      />
    </>
  )
}

type Message = Schema<'FlowMessageItem'>

const signs: Record<string, string> = { pending: '…', sent: '✓', refused: '✗', failed: '‼', dismissed: '–' }

/** Messages that left, wait or failed, with their receipts. */
export function Messages() {
  const { t } = useTranslation()
  const { word } = useWords()
  const served = useServed<Message>('/messages', [
    { key: 'state', title: t('settings.state'), label: (v) => word('message.state', v) },
    { key: 'channel', title: t('settings.channel'), label: (v) => v },
    { key: 'template', title: t('settings.template'), label: (v) => word('template', v) },
  ])
  return (
    <List<Message>
      name={t('settings.messages')}
      rows={served.rows}
      {...served.list}
      rowKey={(m) => m.id}
      empty={t('settings.no_messages')}
      columns={[
        { key: 'state', title: t('settings.state'), text: (m) => word('message.state', m.state), show: (m) => <span className={m.state === 'failed' || m.state === 'refused' ? 'clock late' : 'nowrap'}><span aria-hidden>{signs[m.state]} </span>{word('message.state', m.state)}</span> },
        { key: 'template', title: t('settings.template'), text: (m) => word('template', m.template), show: (m) => <>{word('template', m.template)} <KindTag kind={m.incident_kind} /></> },
        { key: 'channel', title: t('settings.channel'), text: (m) => m.channel, show: (m) => <>{m.channel} · {word('channel.class', m.class)}{m.simulated && <Tag variant="outlined">{t('settings.simulated')}</Tag>}</> },
        { key: 'to', title: t('settings.recipient'), wide: true, text: (m) => m.recipient },
        { key: 'queued', title: t('settings.queued'), text: (m) => stamp(m.queued_ms), show: (m) => <When ms={m.queued_ms} /> },
        { key: 'seen', title: t('settings.seen'), wide: true, text: (m) => stamp(m.acknowledged_ms), show: (m) => (m.acknowledged_ms ? <When ms={m.acknowledged_ms} /> : t('common.none')) },
        { key: 'why', title: t('settings.outcome'), wide: true, text: (m) => m.last_error || m.receipt, show: (m) => <span className="mono">{m.last_error || m.receipt}</span> },
      ]}
    />
  )
}

type Figure = Schema<'SettingRuled'>

/** Figures that may be changed while the server runs, retention among them; with a service, those of that service. */
export function Figures({ serviceId }: { serviceId?: string }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const me = useMe()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/settings', { params: { query: { service_id: serviceId } } })
  const person = usePersonName()
  const own = (s: Figure) => s.name.split('@')[0]
  const says = (s: Figure, v: string) => (s.type === 'choice' ? word(`setting.${own(s)}`, v) : v)
  return (
    <>
    {!serviceId && <p>{t('settings.figures_what')}</p>}
    <List<Figure>
      name={serviceId ? t('services.judging') : t('settings.figures')}
      inAddress={!serviceId}
      rows={data}
      error={error ?? undefined}
      loading={isLoading}
      reload={() => void refetch()}
      rowKey={(s) => s.name}
      empty={t('settings.no_figures')}
      filters={[{ key: 'state', title: t('settings.state'), of: (s) => (s.asked ? t('settings.waiting') : s.changed_ms ? t('settings.altered') : t('settings.as_delivered')) }]}
      columns={[
        { key: 'name', title: t('settings.figure'), text: (s) => word('setting', own(s)), show: (s) => <div>{word('setting', own(s))}<br /><span className="mono">{own(s)}</span>{s.law && <><br />{word('setting_law', s.law)}</>}</div> },
        { key: 'value', title: t('settings.value'), text: (s) => says(s, s.value), show: (s) => <div><strong>{says(s, s.value)}</strong>{s.asked && <><br />… {t('settings.asked_value', { value: says(s, s.asked.value) })} · {t('settings.asked_by', { name: person(s.asked.by) })}</>}</div> },
        { key: 'default', title: t('settings.default'), wide: true, text: (s) => says(s, s.default) },
        { key: 'changed', title: t('settings.changed'), text: (s) => stamp(s.changed_ms), show: (s) => (s.changed_ms ? <div><When ms={s.changed_ms} /><br />{t('settings.changed_by', { name: person(s.changed_by) })}{s.confirmed_by && ` · ${t('settings.confirmed_by', { name: person(s.confirmed_by) })}`}</div> : t('settings.as_delivered')) },
        {
          key: 'act',
          title: t('settings.act'),
          text: () => '',
          show: (s) =>
            may('setting.manage') && (
              <Space wrap>
              {s.asked?.by === me.id && <ActButton size="small" call={(header) => client.POST('/api/v1/second-signatures/{id}/withdraw', { params: { path: { id: s.asked!.id }, header } })} then={() => void refetch()}>{t('settings.withdraw')}</ActButton>}
              {(!s.asked || s.eased) && <ActForm<{ value: string; reason?: string }>
                label={t('settings.change')}
                title={word('setting', own(s))}
                draft={`settings.${s.name}`}
                button={{ size: 'small' }}
                initial={{ value: s.value }}
                done={(now: Figure) => t(now.asked ? 'settings.asked_done' : 'common.done')}
                fields={
                  <>
                  <Form.Item name="value" label={t('settings.new_value')} extra={s.type === 'number' ? (s.max ? t('settings.between', { min: s.min, max: s.max }) : t('settings.at_least', { n: s.min })) : s.type === 'text' ? t('settings.may_be_empty') : [s.asked && t('settings.voids_asked', { value: says(s, s.asked.value) }), s.undo && t('settings.undo_own', { value: says(s, s.undo) })].filter(Boolean).join(' ') || undefined} rules={[{ required: s.type !== 'text', message: t('common.required', { name: t('settings.new_value') }) }]}>
                    {s.type === 'choice' ? <Select options={s.options.map((v) => ({ value: v, label: says(s, v) }))} /> : s.type === 'text' ? <Input maxLength={200} autoComplete="off" /> : <InputNumber stringMode min={String(s.min)} max={s.max ? String(s.max) : undefined} precision={0} />}
                  </Form.Item>
                  {s.two && <Form.Item name="reason" label={t('common.reason')} extra={t(s.eased ? 'settings.two_to_ease' : 'settings.two')} rules={[{ required: !s.eased, message: t('common.required', { name: t('common.reason') }) }]}><Input.TextArea rows={2} maxLength={500} /></Form.Item>}
                  </>
                }
                call={(v, header) => client.POST('/api/v1/settings', { params: { header }, body: { name: s.name, value: String(v.value ?? ''), ...(s.two ? { reason: v.reason ?? '' } : {}) } })}
                then={() => void refetch()}
              />}
              </Space>
            ),
        },
      ]}
    />
    </>
  )
}

/** About says what this is, which editions of the standards it holds to, and under what licence it stands. */
export function About() {
  const { t } = useTranslation()
  const { data } = api.useQuery('get', '/api/v1/reference', {}, { staleTime: Infinity, gcTime: Infinity })
  return (
    <>
      <p>{t('settings.about')}</p>
      <h2>{t('settings.editions')}</h2>
      <ul className="rows">
        {data?.editions.map((e) => <li key={e.id}><strong>{e.name[language()]}</strong> <span className="mono">{e.id}</span> <span>{t('settings.in_force', { day: e.in_force })}</span> <span>{e.verified ? `✓ ${t('settings.verified')}` : `✗ ${t('settings.unverified')}`}</span></li>)}
      </ul>
      <h2>{t('settings.licences')}</h2>
      <p>{t('settings.licences_what')}</p>
    </>
  )
}
