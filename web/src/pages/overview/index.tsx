import { Card, Col, Empty, Row, Spin, Statistic, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, type Schema } from '../../api/client'
import { Define } from '../../parts/define'
import { Failed } from '../../parts/failed'
import { useServiceName } from '../../parts/names'
import { Page } from '../../parts/page'
import { Ago, AtOnce, Countdown, stamp, useSpan, When } from '../../parts/when'
import { KindTag, LevelTag, severitySign, useWords } from '../../parts/word'
import { pathOf } from '../../shell/jump'
import { Traffic } from './traffic'

type Overview = Schema<'FlowOverview'>

/** Calm or not, at a glance; and what to turn to first. */
export default function OverviewPage() {
  const { t } = useTranslation()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/overview', {}, { refetchInterval: 5_000 })
  const name = useServiceName()
  return (
    <Page title={t('menu.overview')} extra={data && <span>{t('overview.as_of')} {stamp(data.now_ms)}</span>}>
      {error ? <Failed error={error} retry={() => void refetch()} /> : null}
      {!data ? !error && <Spin className="page-wait" /> : (
        <>
          <Calm o={data} />
          <Row gutter={[12, 12]}>
            <Col xs={24} xl={15}>
              <Card size="small" title={<h2>{t('overview.incidents')}</h2>} extra={<Link to="/incidents">{t('overview.all')}</Link>}>
                <Incidents o={data} name={name} />
              </Card>
            </Col>
            <Col xs={24} xl={9}>
              <Card size="small" title={<h2>{t('overview.anomalies')}</h2>} extra={<Link to="/anomalies?state=open,assessing">{t('overview.queue')}</Link>}>
                <Anomalies o={data} />
                <Define text={t('overview.what_anomalies')} />
              </Card>
              <Card size="small" title={<h2>{t('overview.warnings')}</h2>} className="gap-top">
                {data.warnings.length === 0 ? t('overview.no_warnings') : data.warnings.map((w) => <Tag key={w.id}>{w.colour}</Tag>)}
              </Card>
            </Col>
            <Col xs={24} xl={15}>
              <Card size="small" title={<h2>{t('overview.traffic')}</h2>}>
                <Traffic traffic={data.traffic} />
                <Define text={t('overview.what_traffic')} />
              </Card>
            </Col>
            <Col xs={24} xl={9}>
              <Card size="small" title={<h2>{t('overview.orders')}</h2>} extra={<Link to="/orders?state=in_force">{t('overview.all')}</Link>}>
                <Orders o={data} name={name} />
              </Card>
            </Col>
            <Col xs={24} xl={12}>
              <Card size="small" title={<h2>{t('overview.gateways')}</h2>}>
                <Gateways o={data} />
                <Define text={t('overview.what_gateways')} />
              </Card>
            </Col>
            <Col xs={24} xl={12}>
              <Card size="small" title={<h2>{t('overview.cycles')}</h2>}>
                <Cycles o={data} />
                <Define text={t('overview.what_backlog')} />
              </Card>
            </Col>
          </Row>
        </>
      )}
    </Page>
  )
}

function Calm({ o }: { o: Overview }) {
  const { t } = useTranslation()
  const { word } = useWords()
  // Who does not see incidents or anomalies cannot be told that there are none.
  const blind = o.unseen.includes('incidents') || o.unseen.includes('anomalies')
  const [look, says] = !o.calm ? ['is-busy', `● ${t('overview.busy')}`] : blind ? ['', `– ${t('overview.cannot_tell')}`] : ['is-calm', `○ ${t('overview.calm')}`]
  return (
    <section className={`calm-board ${look}`} role="status" aria-live="polite" data-testid="calm">
      <strong>{says}</strong>
      <ul>
        {o.reasons.map((r) => (
          <li key={r.id}>
            <Link to={r.object_kind === 'gateway' || !r.object_id ? '#gateways' : pathOf({ kind: r.object_kind, id: r.object_id })}>{word('calm', r.id)} · {r.n}</Link>
          </li>
        ))}
      </ul>
      {o.unseen.length > 0 && <small>{t('overview.unseen')}</small>}
    </section>
  )
}

function Incidents({ o, name }: { o: Overview; name: (id: string) => string }) {
  const { t } = useTranslation()
  const { word } = useWords()
  if (o.unseen.includes('incidents')) return <>{t('overview.not_yours')}</>
  if (o.incidents.items.length === 0) return <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t(o.unseen.length > 0 ? 'overview.no_incidents_seen' : 'overview.no_incidents')} />
  return (
    <div className="scroll-x">
      <table className="plain stacked" role="table">
        <thead role="rowgroup">
          <tr role="row"><th role="columnheader">{t('overview.clock')}</th><th role="columnheader">{t('overview.level')}</th><th role="columnheader">{t('overview.incident')}</th><th role="columnheader">{t('overview.service')}</th><th role="columnheader">{t('overview.state')}</th></tr>
        </thead>
        <tbody role="rowgroup">
          {o.incidents.items.map((i) => (
            <tr role="row" key={i.id}>
              <td role="cell">{i.clock ? <>{i.clock.at_once ? <AtOnce sinceMs={i.clock.since_ms} /> : <Countdown dueMs={i.clock.due_ms} />}<br /><small>{word('obligation_rule', i.clock.rule_id)}</small></> : t('common.no_clock')}</td>
              <td role="cell"><LevelTag level={i.level.final ?? i.level.working} working={!i.level.final} /></td>
              <td role="cell"><Link className="nowrap" to={`/incidents/${i.id}`}>{i.number}</Link> <KindTag kind={i.kind} />{i.restricted && <Tag variant="outlined">🔒 {t('overview.restricted')}</Tag>}<br />{i.title}</td>
              <td role="cell">{name(i.service_id)}</td>
              <td role="cell">{word('incident.state', i.state)}{i.tasks_open > 0 && <><br /><small>{t('overview.tasks', { n: i.tasks_open })}</small></>}{i.missing_evidence > 0 && <><br /><small className="clock late">‼ {t('overview.missing_evidence', { n: i.missing_evidence })}</small></>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {o.incidents.total > o.incidents.items.length && <Link to="/incidents">{t('overview.more', { n: o.incidents.total - o.incidents.items.length })}</Link>}
    </div>
  )
}

const severities = ['critical', 'high', 'normal']

function Anomalies({ o }: { o: Overview }) {
  const { t } = useTranslation()
  const { word } = useWords()
  if (o.unseen.includes('anomalies')) return <>{t('overview.not_yours')}</>
  const count = (severity: string, kind: (k: string) => boolean) => o.anomalies.filter((a) => a.severity === severity && kind(a.kind)).reduce((n, a) => n + a.n, 0)
  const others = o.anomalies.filter((a) => a.kind !== 'real').reduce((n, a) => n + a.n, 0)
  return (
    <>
      <Row gutter={8}>
        {severities.map((s) => (
          <Col span={8} key={s}>
            <Link to={`/anomalies?state=open,assessing&kind=real&severity=${s}`} className={`tile ${s}`}>
              <Statistic title={<><span aria-hidden>{severitySign(s)}</span> {word('severity', s)}</>} value={count(s, (k) => k === 'real')} />
            </Link>
          </Col>
        ))}
      </Row>
      {others > 0 && <small>{t('overview.not_real', { n: others })}</small>}
    </>
  )
}

function Orders({ o, name }: { o: Overview; name: (id: string) => string }) {
  const { t } = useTranslation()
  const { word } = useWords()
  if (o.unseen.includes('orders')) return <>{t('overview.not_yours')}</>
  if (o.orders.items.length === 0) return <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('overview.no_orders')} />
  return (
    <ul className="rows">
      {o.orders.items.slice(0, 8).map((x) => (
        <li key={x.id}>
          <Link to={`/orders/${x.id}`}>{word('rung', x.rung)}</Link> <KindTag kind={x.kind} /> <span>{name(x.service_id)}</span> <Tag variant="outlined">{word('measure', x.measure)}</Tag>
          <span>{x.probe === 'holds' ? `✓ ${t('overview.probe_holds')}` : x.probe === 'fails' ? <strong className="clock late">✗ {t('overview.probe_fails')}</strong> : `… ${t('overview.probe_none')}`}</span>
          <small><When ms={x.issued_ms} /></small>
        </li>
      ))}
      {o.orders.total > 8 && <li><Link to="/orders?state=in_force">{t('overview.more', { n: o.orders.total - 8 })}</Link></li>}
    </ul>
  )
}

function Gateways({ o }: { o: Overview }) {
  const { t } = useTranslation()
  return (
    <div className="scroll-x" id="gateways">
      <table className="plain">
        <thead>
          <tr><th>{t('overview.gateway')}</th><th>{t('overview.fresh')}</th><th>{t('overview.revision')}</th><th>{t('overview.seen')}</th></tr>
        </thead>
        <tbody>
          {o.gateways.map((g) => (
            <tr key={g.id}>
              <td>{g.id}</td>
              <td>{g.fresh ? `✓ ${t('overview.is_fresh')}` : <strong className="clock late">✗ {t('overview.is_stale')}</strong>}{g.guards_silent > 0 && <div className="clock soon">⚠ {t('overview.guards_silent')}</div>}</td>
              <td>{t('overview.revision_of', { has: g.revision, newest: g.current_revision })}</td>
              <td><Ago ms={g.last_seen_ms} /></td>
            </tr>
          ))}
          {o.gateways.length === 0 && <tr><td colSpan={4}>{t('overview.no_gateways')}</td></tr>}
        </tbody>
      </table>
    </div>
  )
}

function Cycles({ o }: { o: Overview }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const span = useSpan()
  return (
    <div className="scroll-x">
      <table className="plain">
        <thead>
          <tr><th>{t('overview.cycle')}</th><th>{t('overview.beats')}</th><th>{t('overview.last_round')}</th></tr>
        </thead>
        <tbody>
          {o.cycles.map((c) => (
            <tr key={c.name}>
              <td>{word('cycle', c.name.split(':')[0])}{c.name.includes(':') && ` (${c.name.split(':')[1]})`}</td>
              <td>{c.late ? <strong className="clock late">✗ {t('overview.cycle_late')}</strong> : `✓ ${t('overview.cycle_ok')}`}{c.failures > 0 && ` · ${t('overview.failures', { n: c.failures })}`}</td>
              <td>{c.last_ms ? t('common.ago', { span: span(c.age_ms) }) : t('common.none')}</td>
            </tr>
          ))}
          <tr><td>{t('overview.due')}</td><td colSpan={2}>{t('overview.backlog', { pending: o.due.pending, overdue: o.due.overdue })}</td></tr>
          <tr><td>{t('overview.messages')}</td><td colSpan={2}>{t('overview.backlog', { pending: o.messages.pending, overdue: o.messages.overdue })}</td></tr>
          {o.telemetry_failing && <tr><td>{t('overview.telemetry')}</td><td colSpan={2} className="clock late">✗ {o.telemetry_failing}</td></tr>}
        </tbody>
      </table>
    </div>
  )
}
