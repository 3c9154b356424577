import { Button, Form, Input, Select } from 'antd'
import { useTranslation } from '../../shell/language'
import { client } from '../../api/client'
import { Countdown, stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMe } from '../../shell/session'
import { serverNow } from '../../shell/link'
import { useHere, useWho } from './dossier'
import { beijingMs, Moment, Reason, Words, Yes } from './fields'
import { Ask, Nothing, Panel, Part, Press } from './parts'

const moves = {
  recover: { form: 'recover', from: ['responding'] },
  'end-handling': { form: 'end', from: ['responding', 'recovering'] },
  're-spread': { form: 'respread', from: ['recovering', 'ended'] },
  reopen: { form: 'reopen', from: ['closed'] },
} as const

/** Moves are the ways on from the state in which the incident stands. */
export function Moves() {
  const { t } = useTranslation()
  const { d, id } = useHere()
  const label = { recover: t('incident.recover'), 'end-handling': t('incident.end_handling'), 're-spread': t('incident.re_spread'), reopen: t('incident.reopen') }
  return (
    <>
      {(Object.keys(moves) as (keyof typeof moves)[]).map((m) =>
        (moves[m].from as readonly string[]).includes(d.incident.state) ? (
          <Ask<{ reason: string }>
            key={m}
            as={moves[m].form}
            needs="incident.handle"
            label={label[m]}
            call={(body, headers) => client.POST(`/api/v1/incidents/{id}/${m}`, { params: { path: { id } }, headers, body })}
            fields={<Reason />}
          />
        ) : null,
      )}
    </>
  )
}

/** Closing is the way out: recovered, ended, applied for, verified by another, and what was learnt. */
export function Closing() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const { d, id } = useHere()
  const applied = d.closings.find((c) => c.state === 'applied')
  return (
    <Panel id="closing" title={t('incident.closing')} extra={<Moves />}>
      <p className="row">
        {d.incident.state === 'ended' && (
          <Ask<{ summary: string }>
            as="apply"
            needs="closing.apply"
            label={t('incident.apply')}
            button={{ type: 'primary' }}
            call={(body, headers) => client.POST('/api/v1/incidents/{id}/closing', { params: { path: { id } }, headers, body })}
            fields={<Words name="summary" label={t('incident.summary')} rows={5} max={4000} focus />}
          />
        )}
        {applied && (
          <Ask<{ confirm: boolean; finding: string }>
            as="verify"
            needs="closing.verify"
            not={applied.applied_by === me.id && t('incident.not_yourself')}
            label={t('incident.verify')}
            button={{ type: 'primary' }}
            call={(body, headers) => client.POST('/api/v1/incidents/{id}/closing/verify', { params: { path: { id } }, headers, body })}
            fields={<><p>{applied.summary}</p><Yes name="confirm" label={t('incident.decision')} yes={t('incident.close_it')} no={t('incident.send_back')} /><Words name="finding" label={t('incident.finding')} max={4000} /></>}
          />
        )}
      </p>
      {d.closings.length === 0 && <Nothing text={t('incident.no_closing')} />}
      {d.closings.map((c) => (
        <p key={c.id} className="row"><span>{word('closing.state', c.state)} · {who(c.applied_by)} <When ms={c.applied_ms} />：{c.summary}{c.verified_ms ? <> → {who(c.verified_by)} <When ms={c.verified_ms} />：{c.verification}</> : null}</span></p>
      ))}
      <Learnt />
    </Panel>
  )
}

type Retro = { root_cause: string; went_well?: string; went_badly?: string; report?: string; actions: { title: string; owner: string; due: string }[] }

function Learnt() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const who = useWho()
  const { d, id } = useHere()
  return (
    <Part
      title={t('incident.retro')}
      extra={
        <Ask<Retro>
          as="retro"
          needs="retrospective.write"
          not={d.incident.state !== 'closed' && t('incident.retro_after')}
          wide
          label={t('incident.hold_retro')}
          button={{ type: d.incident.state === 'closed' && d.retrospectives.length === 0 ? 'primary' : 'default' }}
          initial={{ actions: [{ title: '', owner: '', due: stamp(serverNow() + 7 * 86_400_000) }] }}
          call={(v, headers) =>
            client.POST('/api/v1/incidents/{id}/retrospective', {
              params: { path: { id } },
              headers,
              body: { ...v, actions: v.actions.map((a) => ({ title: a.title, owner: a.owner, due_ms: beijingMs(a.due) })) },
            })
          }
          fields={
            <>
              <Words name="root_cause" label={t('incident.root_cause')} max={4000} focus />
              <Words name="went_well" label={t('incident.went_well')} rows={2} required={false} max={4000} />
              <Words name="went_badly" label={t('incident.went_badly')} rows={2} required={false} max={4000} />
              <Words name="report" label={t('incident.report')} rows={3} required={false} max={20000} />
              <Form.List name="actions">
                {(rows, { add, remove }) => (
                  <fieldset>
                    <legend>{t('incident.actions')}</legend>
                    {rows.map((r, n) => (
                      <div key={r.key} className="action-row">
                        <Form.Item name={[r.name, 'title']} label={t('incident.action_title', { n: n + 1 })} rules={[{ required: true, message: t('common.required', { name: t('incident.action') }) }]}><Input maxLength={500} /></Form.Item>
                        <Form.Item name={[r.name, 'owner']} label={t('incident.owner')} rules={[{ required: true, message: t('common.required', { name: t('incident.owner') }) }]}><Select options={options('role')} /></Form.Item>
                        <Moment name={[r.name, 'due'] as never} label={t('incident.due')} />
                        {rows.length > 1 && <Button size="small" onClick={() => remove(r.name)}>{t('common.remove')}</Button>}
                      </div>
                    ))}
                    <Button size="small" onClick={() => add({ due: stamp(serverNow() + 7 * 86_400_000) })}>{t('incident.add_action')}</Button>
                  </fieldset>
                )}
              </Form.List>
            </>
          }
        />
      }
    >
      {d.retrospectives.map((r) => (
        <div key={r.id} className="duty">
          <p><strong>{t('incident.root_cause')}</strong>：{r.root_cause} <small className="secondary">{who(r.held_by)} <When ms={r.held_ms} /></small></p>
          {r.went_well && <p>{t('incident.went_well')}：{r.went_well}</p>}
          {r.went_badly && <p>{t('incident.went_badly')}：{r.went_badly}</p>}
          {r.report && <p>{r.report}</p>}
        </div>
      ))}
      {d.actions.map((a) => (
        <p key={a.id} className="row">
          {a.state === 'open' ? '○' : '✓'} <strong>{a.title}</strong> {word('role', a.owner)} <Countdown dueMs={a.due_ms} stoppedMs={a.done_ms} /> {a.proof}
          {a.state === 'open' && (
            <Ask<{ proof: string }>
              as={`action.${a.id}`}
              needs="retrospective.write"
              label={t('incident.finish')}
              title={a.title}
              button={{ 'aria-label': `${t('incident.finish')} ${a.title}` }}
              call={(body, headers) => client.POST('/api/v1/actions/{id}/done', { params: { path: { id: a.id } }, headers, body })}
              fields={<Words name="proof" label={t('incident.proof_of_action')} focus />}
            />
          )}
        </p>
      ))}
    </Part>
  )
}

/** Seconds are what waits for another person about this incident. */
export function Seconds() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const { d } = useHere()
  const waiting = d.second_signatures.filter((s) => s.state === 'requested')
  const past = d.second_signatures.filter((s) => s.state !== 'requested')
  return (
    <Panel id="seconds" title={t('incident.seconds')}>
      {waiting.length === 0 && <Nothing text={t('incident.no_seconds')} />}
      {waiting.map((s) => (
        <div key={s.id} className="duty">
          <p className="row"><strong>{word('action', s.action)}</strong> {word('object', s.object_kind)} · {who(s.requested_by)} <When ms={s.requested_ms} /></p>
          <p className="row secondary">{s.reason}</p>
          <p className="row">
            {s.requested_by === me.id ? (
              <>
                <span>{t('incident.another_decides')}</span>
                <Press call={(headers) => client.POST('/api/v1/second-signatures/{id}/withdraw', { params: { path: { id: s.id } }, headers })}>{t('incident.take_back')}</Press>
              </>
            ) : (
              <Ask<{ approve: boolean; reason?: string }>
                as={`second.${s.id}`}
                needs={s.action}
                label={t('incident.decide')}
                title={`${word('action', s.action)} · ${who(s.requested_by)}`}
                button={{ type: 'primary' }}
                call={(body, headers) => client.POST('/api/v1/second-signatures/{id}/decide', { params: { path: { id: s.id } }, headers, body })}
                fields={<><p>{s.reason}</p><Yes name="approve" label={t('incident.decision')} yes={t('incident.agree')} no={t('incident.reject')} /><Reason required={false} /></>}
              />
            )}
          </p>
        </div>
      ))}
      {past.length > 0 && (
        <details>
          <summary>{t('incident.past_seconds', { n: past.length })}</summary>
          <ul className="bare">{past.map((s) => <li key={s.id}>{word('second.state', s.state)} {word('action', s.action)} · {who(s.requested_by)} → {who(s.decided_by)} <When ms={s.decided_ms ?? 0} /></li>)}</ul>
        </details>
      )}
    </Panel>
  )
}
