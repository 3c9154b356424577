import { Form, Select, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client } from '../../api/client'
import { When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMe } from '../../shell/session'
import { useHere, useWho } from './dossier'
import { Count, Pick, Words } from './fields'
import { Ask, Nothing, Panel, Part, Press, Some } from './parts'

/** Outside is what is said to whom, what was found to be true, where it spread, and what it does to whom. */
export function Outside() {
  const { t } = useTranslation()
  return (
    <Panel id="outside" title={t('incident.outside')}>
      <Statements />
      <Told />
      <Spread />
      <FactChecks />
      <Impacts />
    </Panel>
  )
}

function Statements() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const { d, id } = useHere()
  return (
    <Part
      title={t('incident.statements')}
      extra={
        <Ask<{ audience: 'public'; text: string }>
          as="statement"
          needs="statement.draft"
          wide
          label={t('incident.draft_statement')}
          initial={{ audience: 'public' }}
          call={(body, headers) => client.POST('/api/v1/incidents/{id}/statements', { params: { path: { id } }, headers, body })}
          fields={<><Pick name="audience" label={t('incident.audience')} group="audience" /><Words name="text" label={t('incident.text')} rows={6} max={8000} focus /></>}
        />
      }
    >
      {d.statements.length === 0 && <Nothing text={t('incident.no_statements')} />}
      {d.statements.map((s) => (
        <div key={s.id} className="duty">
          <p className="row">
            <Tag variant="outlined">{word('audience', s.audience)}</Tag>
            <Tag color={s.approved_ms ? 'green' : 'gold'} variant="outlined">{s.approved_ms ? `✓ ${t('incident.approved_by', { name: who(s.approved_by) })}` : `… ${t('incident.draft_by', { name: who(s.drafted_by) })}`}</Tag>
            <When ms={s.approved_ms || s.drafted_ms} />
            <span className="grow" />
            {!s.approved_ms && (
              <Press needs="statement.approve" not={s.drafted_by === me.id && t('incident.not_author')} call={(headers) => client.POST('/api/v1/statements/{id}/approve', { params: { path: { id: s.id } }, headers })}>
                {t('incident.approve_statement')}
              </Press>
            )}
          </p>
          <blockquote>{s.text}</blockquote>
        </div>
      ))}
    </Part>
  )
}

function Told() {
  const { t } = useTranslation()
  const { word } = useWords()
  const { d, id } = useHere()
  const { data } = api.useQuery('get', '/api/v1/messages', { params: { query: { object_id: id } } }, { refetchInterval: 10_000 })
  const ids = new Set(d.ways.map((w) => w.id))
  const told = (data?.items ?? []).filter((m) => ids.has(m.channel))
  return (
    <Part
      title={t('incident.told')}
      extra={
        <Ask<{ channel: string; recipient: string }>
          as="tell"
          needs="incident.handle"
          not={d.ways.length === 0 && t('incident.no_ways')}
          label={t('incident.tell')}
          call={(body, headers) => client.POST('/api/v1/incidents/{id}/tell', { params: { path: { id } }, headers, body })}
          done={t('incident.told_queued')}
          fields={
            <>
              <p>{t('incident.tell_what')}</p>
              <Form.Item name="channel" label={t('incident.channel')} rules={[{ required: true, message: t('common.required', { name: t('incident.channel') }) }]}>
                <Select options={d.ways.map((w) => ({ value: w.id, label: `${word('channel.class', w.class)} · ${w.id}${w.simulated ? ` · ${t('incident.simulated')}` : ''}` }))} />
              </Form.Item>
              <Words name="recipient" label={t('incident.recipient')} rows={1} max={200} />
            </>
          }
        />
      }
    >
      {told.length === 0 && <Nothing text={t('incident.nobody_told')} />}
      {told.map((m) => (
        <p key={m.id} className="row">
          <Tag variant="outlined">{word('channel.class', m.class)}</Tag> {m.recipient} <Tag color={m.state === 'sent' ? 'green' : m.state === 'pending' ? 'gold' : 'red'} variant="outlined">{m.state === 'sent' ? '✓' : m.state === 'pending' ? '…' : '✗'} {word('message.state', m.state)}</Tag>
          <When ms={m.sent_ms || m.queued_ms} /> {m.receipt && <span className="mono">{t('incident.receipt')} {m.receipt}</span>}
        </p>
      ))}
    </Part>
  )
}

function Spread() {
  const { t } = useTranslation()
  const who = useWho()
  const { d, id } = useHere()
  return (
    <Part
      title={t('incident.spread')}
      extra={
        <Ask<{ platform: string; location: string }>
          as="spread"
          needs="spread.write"
          label={t('incident.add_spread')}
          call={(body, headers) => client.POST('/api/v1/incidents/{id}/spread', { params: { path: { id } }, headers, body })}
          fields={<><Words name="platform" label={t('incident.platform')} rows={1} max={100} focus /><Words name="location" label={t('incident.location')} rows={1} max={500} /></>}
        />
      }
    >
      {d.spread.length === 0 && <Nothing text={t('incident.no_spread')} />}
      {d.spread.map((s) => (
        <p key={s.id} className="row">
          <strong>{s.platform}</strong> <span className="break">{s.location}</span> <small className="secondary">{who(s.found_by)} <When ms={s.found_ms} /></small>
          <span className="grow" />
          {s.asked_ms ? <span>✓ {t('incident.asked')} <When ms={s.asked_ms} /></span> : <Press needs="spread.write" aria-label={`${t('incident.mark_asked')} ${s.location}`} call={(headers) => client.POST('/api/v1/spread/{id}/asked', { params: { path: { id: s.id } }, headers })}>{t('incident.mark_asked')}</Press>}
          {s.removed_ms ? <span>✓ {t('incident.removed')} <When ms={s.removed_ms} /></span> : s.asked_ms ? <Press needs="spread.write" aria-label={`${t('incident.mark_removed')} ${s.location}`} call={(headers) => client.POST('/api/v1/spread/{id}/removed', { params: { path: { id: s.id } }, headers })}>{t('incident.mark_removed')}</Press> : null}
        </p>
      ))}
    </Part>
  )
}

function FactChecks() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const { d, id } = useHere()
  return (
    <Part
      title={t('incident.fact_checks')}
      extra={
        <Ask<{ claim: string; source: string; verdict: 'false' }>
          as="check"
          needs="factcheck.write"
          label={t('incident.check_fact')}
          call={(body, headers) => client.POST('/api/v1/incidents/{id}/fact-checks', { params: { path: { id } }, headers, body })}
          fields={
            <>
              <Words name="claim" label={t('incident.claim')} max={4000} focus />
              <Words name="source" label={t('incident.held_against')} rows={2} max={1000} />
              <Pick name="verdict" label={t('incident.verdict')} group="factcheck.verdict" />
            </>
          }
        />
      }
    >
      {d.fact_checks.length === 0 && <Nothing text={t('incident.no_checks')} />}
      <ul className="bare">
        <Some of={d.fact_checks} each={(c) => <li key={c.id} className="row"><Tag variant="outlined">{word('factcheck.verdict', c.verdict)}</Tag> <span className="break">{c.source}</span> <small className="secondary">{who(c.checker)} <When ms={c.at_ms} /></small></li>} />
      </ul>
    </Part>
  )
}

function Impacts() {
  const { t } = useTranslation()
  const who = useWho()
  const { d, id } = useHere()
  return (
    <Part
      title={t('incident.impacts')}
      extra={
        <Ask<{ party: string; economic: string; reputation: string; users_affected?: number }>
          as="impact"
          needs="impact.write"
          label={t('incident.assess_impact')}
          call={(v, headers) => client.POST('/api/v1/incidents/{id}/impacts', { params: { path: { id } }, headers, body: { ...v, users_affected: v.users_affected ?? undefined } })}
          fields={
            <>
              <Words name="party" label={t('incident.party')} rows={1} max={200} focus />
              <Words name="economic" label={t('incident.economic')} rows={2} />
              <Words name="reputation" label={t('incident.reputation')} rows={2} />
              <Count name="users_affected" label={t('incident.users_affected')} />
            </>
          }
        />
      }
    >
      {d.impacts.length === 0 && <Nothing text={t('incident.no_impacts')} />}
      {d.impacts.map((m) => (
        <p key={m.id} className="row"><strong>{m.party}</strong> {t('incident.economic')}：{m.economic}；{t('incident.reputation')}：{m.reputation}{m.users_affected > 0 && `；${t('incident.users_affected')} ${m.users_affected}`} <small className="secondary">{who(m.assessed_by)} <When ms={m.at_ms} /></small></p>
      ))}
    </Part>
  )
}

