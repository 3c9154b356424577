import { Alert, Form, Select, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { EmergencyOffline, OrderForm } from '../../parts/order'
import { Countdown, useNow, When } from '../../parts/when'
import { Measure, useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'
import { sees, useHere, useWho, type Order } from './dossier'
import { Reason, Words, Yes } from './fields'
import { Ask, Nothing, NotYours, Panel, Part } from './parts'

/** wholly says that an order takes the service offline for everybody. */
const wholly = (o: Order) => o.rung === 'service_offline' && !o.scope.deployment_id && !o.scope.route && !o.scope.tenant_id && !o.scope.group

/** Orders are what gateways were told, whether they obey, and the reviews of going off and on line. */
export function Orders() {
  const { t } = useTranslation()
  const { d } = useHere()
  const inForce = d.orders.filter((o) => o.state === 'in_force')
  const ended = d.orders.filter((o) => o.state !== 'in_force')
  const unsettled = d.nonconformities.filter((n) => !n.settled_ms)
  return (
    <Panel id="orders" title={t('incident.orders')} extra={<Issue offline={inForce.some(wholly)} />}>
      {unsettled.map((n) => (
        <Alert
          key={n.id}
          type="warning"
          showIcon
          title={<Rule id={n.rule} />}
          description={n.reason}
          action={
            <Ask<{ reason: string }>
              as={`explain.${n.id}`}
              needs="order.issue"
              label={t('incident.explain')}
              call={(body, headers) => client.POST('/api/v1/nonconformities/{id}/explain', { params: { path: { id: n.id } }, headers, body })}
              fields={<Reason />}
            />
          }
        />
      ))}
      {!sees(d, 'orders') && <NotYours />}
      {sees(d, 'orders') && inForce.length === 0 && <Nothing text={t('incident.no_orders')} />}
      <ul className="bare" aria-label={t('incident.orders')}>{inForce.map((o) => <InForce key={o.id} o={o} />)}</ul>
      {ended.length > 0 && (
        <details>
          <summary>{t('incident.ended_orders', { n: ended.length })}</summary>
          <ul className="bare">{ended.map((o) => <Ended key={o.id} o={o} />)}</ul>
        </details>
      )}
      {d.gate_reviews.length > 0 && <Part title={t('incident.reviews')}>{d.gate_reviews.map((r) => <Review key={r.id} r={r} />)}</Part>}
    </Panel>
  )
}

function Rule({ id }: { id: string }) {
  const { word } = useWords()
  return <>{word('rule', id)}</>
}

function Name({ o }: { o: Order }) {
  const { word } = useWords()
  const scope = [o.scope.deployment_id, o.scope.route, o.scope.tenant_id, o.scope.group].filter(Boolean).join(' / ')
  return <><Measure measure={o.measure} /><strong>{word('rung', o.rung)}</strong>{scope && <small className="mono"> {scope}</small>}</>
}

function InForce({ o }: { o: Order }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const now = useNow()
  const { d } = useHere()
  const passed = d.service_tests.filter((x) => x.state === 'passed')
  const asked = d.second_signatures.find((s) => s.state === 'requested' && s.object_id === o.id)
  const reviewing = d.gate_reviews.some((r) => r.order_id === o.id && r.direction === 'online' && r.state === 'requested')
  const slip = o.rung === 'service_offline' && o.issued_by === me.id && now - o.issued_ms < 60_000
  const name = word('rung', o.rung)
  return (
    <li className="duty">
      <p className="row">
        <Name o={o} />
        <span className="grow" />
        {o.expires_ms > 0 && <Countdown dueMs={o.expires_ms} />}
      </p>
      <Proof id={o.id} />
      <p className="row secondary">{who(o.issued_by)} <When ms={o.issued_ms} /> · {word('release_mode', o.release_mode)}</p>
      <p className="row">
        {slip && (
          <Ask<{ reason: string }>
            as={`undo.${o.id}`}
            needs="order.issue"
            label={t('incident.undo', { s: Math.ceil((60_000 - (now - o.issued_ms)) / 1000) })}
            initial={{ reason: t('incident.slip') }}
            call={(body, headers) => client.POST('/api/v1/orders/{id}/undo', { params: { path: { id: o.id } }, headers, body })}
            fields={<Reason />}
          />
        )}
        {o.release_mode === 'online_review' ? (
          <Ask<{ service_test_id: string; ground: string }>
            as={`online.${o.id}`}
            needs="gatereview.request"
            not={reviewing ? t('incident.reviewing') : passed.length === 0 && t('incident.test_first')}
            label={t('incident.ask_online')}
            button={{ type: passed.length ? 'primary' : 'default' }}
            initial={{ service_test_id: passed.at(-1)?.id }}
            call={(body, headers) => client.POST('/api/v1/orders/{id}/online-review', { params: { path: { id: o.id } }, headers, body })}
            fields={
              <>
                <Form.Item name="service_test_id" label={t('incident.passed_test')} rules={[{ required: true, message: t('common.required', { name: t('incident.passed_test') }) }]}>
                  <Select options={passed.map((x) => ({ value: x.id, label: `${x.runs} / ${x.prompts} · ${who(x.run_by)}` }))} />
                </Form.Item>
                <Words name="ground" label={t('incident.ground')} focus />
              </>
            }
          />
        ) : (
          <Ask<{ reason: string }>
            as={`lift.${o.id}`}
            needs="order.lift"
            not={asked && t('incident.lift_asked', { name: who(asked.requested_by) })}
            label={t('incident.lift')}
            title={t('incident.lift_what', { name })}
            submit={t('incident.ask_second')}
            button={{ 'aria-label': `${t('incident.lift')} ${name}` }}
            call={(body, headers) => client.POST('/api/v1/orders/{id}/lift', { params: { path: { id: o.id } }, headers, body })}
            fields={<Reason />}
          />
        )}
      </p>
    </li>
  )
}

/** Proof says which gateways obey, and what a probe from outside found. It asks again until both are shown. */
function Proof({ id }: { id: string }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const { data } = api.useQuery('get', '/api/v1/orders/{id}', { params: { path: { id } } }, { refetchInterval: (q) => (q.state.data?.acknowledged && q.state.data.proven ? 30_000 : 2_500) })
  if (!data) return null
  const cut = data.acks.reduce((n, a) => n + a.streams_cut, 0)
  const probe = data.probes.at(-1)
  return (
    <p className="row">
      <Tag color={data.acknowledged ? 'green' : 'gold'} variant="outlined">{data.acknowledged ? `✓ ${t('incident.acknowledged', { n: data.acks.length })}` : `… ${t('incident.unacknowledged', { n: data.acks.length })}`}</Tag>
      <Tag color={data.proven ? 'green' : probe && !probe.effective ? 'red' : 'gold'} variant="outlined">{data.proven ? `✓ ${t('incident.proven')}` : probe ? `‼ ${word('probe', probe.detail)}` : `… ${t('incident.no_probe')}`}</Tag>
      {cut > 0 && <span>{t('incident.cut', { n: cut })}</span>}
      {data.missing.length > 0 && <span className="clock urgent">‼ {t('incident.missing_gateways', { names: data.missing.join('、') })}</span>}
    </p>
  )
}

function Ended({ o }: { o: Order }) {
  const { word } = useWords()
  const who = useWho()
  return (
    <li>
      <Name o={o} /> {word('order.state', o.state)} <When ms={o.ended_ms ?? 0} /> {who(o.ended_by)} {o.ended_second && `+ ${who(o.ended_second)}`} {o.ended_reason}
    </li>
  )
}

function Review({ r }: { r: Schema<'GatereviewReview'> }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const offline = r.direction === 'offline'
  return (
    <div className="duty">
      <p className="row">
        <Tag variant="outlined">{word('gate_review.direction', r.direction)}</Tag> {word('gate_review.state', r.state)} · {who(r.requested_by)} <When ms={r.requested_ms} />
        {r.decided_ms > 0 && <> → {who(r.decided_by)} <When ms={r.decided_ms} /></>}
      </p>
      <p className="row secondary">{r.ground} {r.decision_reason}</p>
      {r.state === 'requested' && (
        <Ask<{ approve: boolean; reason: string }>
          as={`review.${r.id}`}
          needs="gatereview.decide"
          not={r.requested_by === me.id && t('incident.not_yourself')}
          label={t(offline ? 'incident.ratify' : 'incident.decide_online')}
          button={{ type: 'primary' }}
          call={(body, headers) => client.POST(offline ? '/api/v1/gate-reviews/{id}/ratify' : '/api/v1/gate-reviews/{id}/decide', { params: { path: { id: r.id } }, headers, body })}
          fields={<><Yes name="approve" label={t('incident.decision')} yes={t('incident.approve')} no={t('incident.reject')} /><Reason /></>}
        />
      )}
    </div>
  )
}

/** Issue is the form for any order, and going offline in two presses. */
function Issue({ offline }: { offline: boolean }) {
  const { t } = useTranslation()
  const may = useMay()
  const { d, id, open, setOpen, refresh } = useHere()
  if (!may('order.issue') || d.incident.state === 'closed') return null
  const cause = { cause: 'incident', cause_id: id } as const
  return (
    <>
      <OrderForm cause={cause} serviceId={d.incident.service_id} label={t('order.issue')} primary={sees(d, 'orders') && d.orders.length === 0} open={open === 'order' ? true : undefined} onClose={() => setOpen('')} then={refresh} />
      {!offline && <EmergencyOffline cause={cause} serviceId={d.incident.service_id} serviceName={d.service_name} then={refresh} />}
    </>
  )
}

/** AtHand is going offline where a thumb finds it, however far the page was scrolled. */
export function AtHand() {
  const may = useMay()
  const { d, id, refresh } = useHere()
  if (!may('order.issue') || d.incident.state === 'closed' || !sees(d, 'orders') || d.orders.some((o) => o.state === 'in_force' && wholly(o))) return null
  return <EmergencyOffline cause={{ cause: 'incident', cause_id: id }} serviceId={d.incident.service_id} serviceName={d.service_name} then={refresh} />
}
