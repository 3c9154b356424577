import { Tag } from 'antd'
import { client, type Schema } from '../../api/client'
import { Countdown, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMe } from '../../shell/session'
import { language, useTranslation } from '../../shell/language'
import { useHere, useWho } from './dossier'
import { Reason, Words } from './fields'
import { Ask, Nothing, Panel, Past, Press, Some } from './parts'

/** Plan is what the plan asks of whom by when, and what became of it. */
export function Plan() {
  const { t } = useTranslation()
  const { d, id } = useHere()
  const ready = d.categories.some((c) => c.rank === 'primary') && d.level.working > 0
  const open = d.tasks.filter((x) => x.state === 'open')
  const past = d.tasks.filter((x) => x.state !== 'open')
  return (
    <Panel
      id="plan"
      title={t('incident.plan')}
      extra={
        d.plan_runs.length > 0 ? (
          <span>{d.plan_runs.map((r) => `${r.plan_title[language()] || r.plan_title.zh} v${r.plan_version}`).join(' · ')} · {t('incident.tasks_done', { done: past.length, all: d.tasks.length })}</span>
        ) : (
          <Press needs="incident.handle" not={!ready && t('incident.plan_needs')} type="primary" call={(headers) => client.POST('/api/v1/incidents/{id}/plan', { params: { path: { id } }, headers })} done={t('incident.plan_started')}>
            {t('incident.start_plan')}
          </Press>
        )
      }
    >
      {d.tasks.length === 0 && <Nothing text={t('incident.no_tasks')} />}
      <ul className="bare" aria-label={t('incident.tasks')}><Some of={open} each={(x) => <Task key={x.id} x={x} />} /></ul>
      <Past title={t('incident.past_tasks', { n: past.length })} of={past} each={(x) => <Task key={x.id} x={x} />} />
    </Panel>
  )
}

function Task({ x }: { x: Schema<'DispatchTask'> }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const title = x.title[language()] || x.title.zh
  return (
    <li className="duty">
      <p className="row">
        {x.state === 'open' ? '○' : x.state === 'done' ? '✓' : '–'} <strong>{title}</strong>
        <Tag variant="outlined">{me.roles.includes(x.role) ? `★ ${t('incident.yours')}` : word('role', x.role)}</Tag>
        {x.automatic && <Tag variant="outlined">{word('plan_action', x.automatic.action)}</Tag>}
        <span className="grow" />
        {x.due_ms > 0 && <Countdown dueMs={x.due_ms} stoppedMs={x.done_ms} />}
      </p>
      {x.state !== 'open' && <p className="row secondary">{word('task.state', x.state)} · {who(x.done_by)} <When ms={x.done_ms} /> {x.output}</p>}
      {x.state === 'open' && (
        <p className="row">
          <Ask<{ output: string }>
            as={`task.${x.id}`}
            needs="task.do"
            label={t('incident.finish')}
            title={title}
            button={{ 'aria-label': `${t('incident.finish')} ${title}` }}
            call={(body, headers) => client.POST('/api/v1/tasks/{id}/done', { params: { path: { id: x.id } }, headers, body })}
            fields={<Words name="output" label={t('incident.output')} max={4000} focus />}
          />
          <Ask<{ reason: string }>
            as={`skip.${x.id}`}
            needs="incident.handle"
            label={t('incident.skip')}
            title={t('incident.skip_what', { title })}
            button={{ type: 'text', 'aria-label': `${t('incident.skip')} ${title}` }}
            call={(body, headers) => client.POST('/api/v1/tasks/{id}/skip', { params: { path: { id: x.id } }, headers, body })}
            fields={<Reason />}
          />
        </p>
      )}
    </li>
  )
}
