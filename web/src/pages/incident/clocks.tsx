import { Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { client } from '../../api/client'
import { AtOnce, Countdown, stamp, useNow, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { serverNow } from '../../shell/link'
import { nearest, sees, standing, useHere, useWho, type Duty } from './dossier'
import { beijingMs, Moment, Pick, Reason, Words } from './fields'
import { Ask, Nothing, NotYours, Panel, Part, Past } from './parts'

const mark: Record<string, { color?: string; sign: string }> = {
  owed: { color: 'red', sign: '‼' }, decision: { color: 'gold', sign: '?' }, pending: { color: 'blue', sign: '…' }, met: { color: 'green', sign: '✓' }, struck_off: { sign: '–' },
}

/** Clocks are the duties to report with their countdowns, and from when they run. */
export function Clocks() {
  const { t } = useTranslation()
  const { d } = useHere()
  const open = d.obligations.filter(standing)
  const settled = d.obligations.filter((o) => !standing(o))
  return (
    <Panel id="clocks" title={t('incident.clocks')}>
      {!sees(d, 'obligations') && <NotYours />}
      {sees(d, 'obligations') && open.length === 0 && <Nothing text={t(d.obligations.length ? 'incident.all_reported' : 'incident.no_clocks')} />}
      <ul className="bare" aria-label={t('incident.clocks')}>{open.map((o) => <DutyRow key={o.id} o={o} />)}</ul>
      <Past title={t('incident.settled', { n: settled.length })} of={settled} each={(o) => <DutyRow key={o.id} o={o} />} />
      <Aware />
    </Panel>
  )
}

function DutyRow({ o }: { o: Duty }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const m = mark[o.state]
  const rule = word('obligation_rule', o.rule_id)
  return (
    <li className="duty">
      <p className="row">
        <Tag color={m?.color} variant="outlined">{m?.sign} {word('obligation.state', o.state)}</Tag>
        <strong>{rule}</strong>
        <span className="grow" />
        {standing(o) && (o.at_once ? <AtOnce sinceMs={o.clock_start_ms} /> : o.due_ms ? <Countdown dueMs={o.due_ms} /> : <span className="clock soon">{t(o.state === 'owed' ? 'incident.periodic' : 'incident.promptly')}</span>)}
      </p>
      <p className="row secondary">
        {word('recipient', o.authority)}
        {o.due_ms > 0 && standing(o) && <> · {t('incident.due_at', { at: stamp(o.due_ms) })}</>}
        {o.overdue_ms ? <> · ‼ {t('incident.was_late')}</> : null}
        {o.state === 'struck_off' && <> · {word('reason', o.reason)} {who(o.decided_by)}</>}
        {o.submitted_ms ? <> · <When ms={o.submitted_ms} /> {who(o.submitted_by)} · {t('incident.receipt')}：{o.receipt}</> : null}
      </p>
      {standing(o) && (
        <p className="row">
          <Ask<{ receipt: string }>
            as={`submit.${o.id}`}
            needs="obligation.submit"
            label={t('incident.submit')}
            title={t('incident.submit_what', { rule })}
            button={{ type: o.state === 'owed' ? 'primary' : 'default', 'aria-label': `${t('incident.submit')} ${rule}` }}
            call={(body, headers) => client.POST('/api/v1/obligations/{id}/submit', { params: { path: { id: o.id } }, headers, body })}
            fields={<Words name="receipt" label={t('incident.receipt')} rows={1} max={500} placeholder={t('incident.receipt_hint')} focus />}
          />
          {o.state !== 'owed' && (
            <Ask<{ reason: string }>
              as={`strike.${o.id}`}
              needs="obligation.decide"
              label={t('incident.strike')}
              title={t('incident.strike_what', { rule })}
              button={{ 'aria-label': `${t('incident.strike')} ${rule}` }}
              call={(body, headers) => client.POST('/api/v1/obligations/{id}/strike-off', { params: { path: { id: o.id } }, headers, body })}
              fields={<Reason />}
            />
          )}
        </p>
      )}
    </li>
  )
}

function Aware() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const { d, id } = useHere()
  const first = d.awareness.filter((w) => !w.withdrawn_by)[0]
  const alone = d.awareness.filter((w) => !w.withdrawn_by).length < 2
  return (
    <Part
      title={t('incident.awareness')}
      extra={
        <Ask<{ source: string; at: string; ref?: string }>
          as="aware"
          needs="incident.handle"
          label={t('incident.add_awareness')}
          initial={{ at: stamp(serverNow()) }}
          call={(v, headers) => client.POST('/api/v1/incidents/{id}/awareness', { params: { path: { id } }, headers, body: { source: v.source, at_ms: beijingMs(v.at), ref: v.ref } })}
          fields={
            <>
              <Pick name="source" label={t('incident.aware_source')} group="awareness_source" />
              <Moment name="at" label={t('incident.aware_at')} hint={t('incident.beijing')} />
              <Words name="ref" label={t('incident.aware_ref')} rows={1} required={false} max={200} />
            </>
          }
        />
      }
    >
      <ul className="bare">
        {d.awareness.map((w) => (
          <li key={w.id} className={w.withdrawn_by ? 'gone' : ''}>
            {w === first ? <strong>▶ <When ms={w.at_ms} /></strong> : <When ms={w.at_ms} />} {word('awareness_source', w.source)} · {who(w.entered_by)} {w.withdrawn_by && `（${t('incident.withdrawn')} ${w.withdrawn_reason}）`}{' '}
            {!w.withdrawn_by && !alone && (
              <Ask<{ reason: string }>
                as={`withdraw.${w.id}`}
                needs="incident.handle"
                label={t('incident.withdraw')}
                title={t('incident.withdraw_what')}
                submit={t('incident.ask_second')}
                button={{ type: 'link' }}
                call={(body, headers) => client.POST('/api/v1/awareness/{id}/withdraw', { params: { path: { id: w.id } }, headers, body })}
                fields={<Reason />}
              />
            )}
          </li>
        ))}
      </ul>
      <p className="row secondary">{t('incident.earliest_counts')}</p>
    </Part>
  )
}

/** BigClock is the nearest duty in large figures, for the head of the page. */
export function BigClock() {
  const { t } = useTranslation()
  const { word } = useWords()
  const { d } = useHere()
  useNow()
  const o = nearest(d.obligations)
  if (!sees(d, 'obligations')) return <small className="secondary">🔒 {t('incident.clock_not_yours')}</small>
  if (!o) return null
  return (
    <a className="big-clock" href="#p-clocks" onClick={(e) => (e.preventDefault(), document.getElementById('p-clocks')?.scrollIntoView())} title={t('incident.nearest')}>
      {o.at_once ? <AtOnce sinceMs={o.clock_start_ms} /> : <Countdown dueMs={o.due_ms} />}
      <small>{word('obligation_rule', o.rule_id)}</small>
    </a>
  )
}
