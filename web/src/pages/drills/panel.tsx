import { Alert, Button, Descriptions, Drawer, Progress, Space, Spin } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { Define } from '../../parts/define'
import { ActButton, ActForm } from '../../parts/act'
import { Failed } from '../../parts/failed'
import { usePhone } from '../../parts/list'
import { usePersonName } from '../../parts/names'
import { useSay } from '../../parts/say'
import { useNow, useSpan, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { useMinutes } from '../plans/panel'
import { State, useCase, useTook } from '.'
import { paceOf, share } from './times'

/** DrillPanel shows one drill as it goes on, and afterwards its times beside those of the plan. */
export function DrillPanel({ id, close }: { id: string; close: () => void }) {
  const { t } = useTranslation()
  const may = useMay()
  const phone = usePhone()
  const took = useTook()
  const named = useCase()
  const person = usePersonName()
  const { data: d, error, refetch } = api.useQuery('get', '/api/v1/drills/{id}', { params: { path: { id } } }, { refetchInterval: (q) => (q.state.data && q.state.data.ended_ms === 0 ? 2000 : false) })
  const open = d?.ended_ms === 0
  const passed = d?.stage_list.filter((s) => s.state === 'done').length ?? 0
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 860} title={d ? <>{d.number} {named(d.scenario)} <State drill={d} /></> : t('menu.drills')} closable={{ 'aria-label': t('common.close') }}>
      {error ? <Failed error={error} retry={() => void refetch()} /> : null}
      {!d ? !error && <Spin /> : (
        <>
          {d.interrupted && <Alert type="warning" showIcon title={t('drills.interrupted_what')} />}
          {d.state === 'paused' && <Alert type="warning" showIcon title={t('drills.paused_what')} />}
          {d.state === 'failed' && <Alert type="error" showIcon title={t('drills.failed_what', { stage: passed + 1 })} />}
          <Space wrap className="panel-acts">
            {d.state === 'paused' && may('drill.run') && <ActButton type="primary" call={(header) => client.POST('/api/v1/drills/{id}/continue', { params: { path: { id }, header } })} then={() => void refetch()}>{t('drills.continue')}</ActButton>}
            {open && may('drill.run') && (
              <ActForm<object>
                label={t('drills.abort')}
                title={t('drills.abort_of', { number: d.number })}
                draft={`drill.${id}.abort`}
                button={{ danger: true }}
                submit={t('drills.abort')}
                fields={<p>{t('drills.abort_what')}</p>}
                call={(_, header) => client.POST('/api/v1/drills/{id}/abort', { params: { path: { id }, header } })}
                then={() => void refetch()}
              />
            )}
            {d.incident_id && may('incident.read') && <Link to={`/incidents/${d.incident_id}`}><Button>{t('drills.incident')} →</Button></Link>}
            {d.plan_id && may('plan.read') && <Link to={`/plans/${d.plan_id}`}><Button>{t('drills.plan')} →</Button></Link>}
          </Space>
          <Descriptions
            size="small"
            column={phone ? 1 : 2}
            items={[
              { key: 'started', label: t('drills.started_at'), children: <><When ms={d.started_ms} />&ensp;{person(d.started_by)}</> },
              { key: 'ended', label: t('drills.ended_at'), children: open ? <Running since={d.started_ms} /> : <When ms={d.ended_ms} /> },
              { key: 'total', label: t('drills.total'), children: took(d.total_ms) },
              { key: 'runner', label: t('drills.runner'), children: d.by_server ? t('drills.by_server') : t('drills.by_client') },
            ]}
          />
          <h2>{t('drills.stages')}</h2>
          <Progress percent={Math.round((100 * passed) / Math.max(1, d.stage_list.length))} format={() => t('drills.n_of', { n: passed, all: d.stage_list.length })} status={d.state === 'failed' ? 'exception' : open ? 'active' : 'normal'} aria-label={t('drills.stages')} />
          <Stages list={d.stage_list} state={d.state} />
          <Define text={t('drills.what_total')} />
          <h2>{t('drills.compare')}</h2>
          {d.plan_steps.length === 0 ? <p>{t('drills.no_plan')}</p> : <Compare steps={d.plan_steps} />}
        </>
      )}
    </Drawer>
  )
}

function Running({ since }: { since: number }) {
  const { t } = useTranslation()
  const span = useSpan()
  return <span role="timer" className="clock">▶ {t('drills.running_for', { span: span(useNow() - since) })}</span>
}

function Stages({ list, state }: { list: Schema<'FlowDrillStage'>[]; state: string }) {
  const { t } = useTranslation()
  const say = useSay()
  const took = useTook()
  const phone = usePhone()
  const longest = Math.max(...list.map((s) => s.ms), 1)
  const sign = (s: string) => (s === 'done' ? '✓' : s === 'now' ? (state === 'running' ? '▶' : '✗') : '·')
  const words = (s: string) => (s === 'done' ? t('drills.stage_done') : s === 'now' ? t('drills.stage_now') : t('drills.stage_open'))
  return (
    <table className="plain" aria-live="polite">
      <thead><tr><th scope="col">#</th><th scope="col">{t('drills.stage')}</th><th scope="col">{t('drills.state')}</th><th scope="col" colSpan={phone ? 1 : 2}>{t('drills.took')}</th></tr></thead>
      <tbody>
        {list.map((s, n) => (
          <tr key={s.id} className={s.state === 'now' ? 'chosen' : undefined}>
            <td>{n + 1}</td>
            <td>{say(s.title)}</td>
            <td className="nowrap">{sign(s.state)} {words(s.state)}</td>
            <td className="nowrap clock">{s.state === 'done' ? took(Math.max(s.ms, 1)) : ''}</td>
            {!phone && <td className="bar-cell"><Bar percent={share(s.ms, longest)} /></td>}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Compare({ steps }: { steps: Schema<'FlowDrillStep'>[] }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const say = useSay()
  const took = useTook()
  const minutes = useMinutes()
  const phone = usePhone()
  const paces = steps.map((s) => paceOf(s.took_ms, s.within_ms, s.state === 'done' || s.took_ms > 0))
  const late = paces.filter((p) => p === 'late').length
  return (
    <>
      <p>{late ? `‼ ${t('drills.some_late', { n: late })}` : paces.every((p) => p === 'early') ? `✓ ${t('drills.all_in_time')}` : t('drills.in_time_so_far', { n: paces.filter((p) => p === 'early').length, all: steps.length })}</p>
      <p className="secondary">{t('drills.compare_what')}</p>
      <Define text={t('drills.what_times')} />
      <table className="plain">
        <thead><tr><th scope="col">{t('drills.step')}</th>{!phone && <th scope="col">{t('drills.role')}</th>}<th scope="col">{t('drills.planned')}</th><th scope="col">{t('drills.took')}</th>{!phone && <th scope="col">{t('drills.share')}</th>}<th scope="col">{t('drills.verdict')}</th></tr></thead>
        <tbody>
          {steps.map((s, n) => (
            <tr key={s.id}>
              <td>{say(s.title)}</td>
              {!phone && <td className="nowrap">{word('role', s.role)}</td>}
              <td className="nowrap">{minutes(Math.round(s.within_ms / 60_000))}</td>
              <td className="nowrap">{took(s.took_ms)}</td>
              {!phone && <td className="bar-cell"><Bar percent={share(s.took_ms, s.within_ms)} late={paces[n] === 'late'} /></td>}
              <td className={paces[n] === 'late' ? 'clock late' : ''}>
                {paces[n] === 'early' ? `✓ ${t('drills.in_time')}` : paces[n] === 'late' ? `‼ ${t('drills.over', { span: took(s.took_ms - s.within_ms) })}` : `· ${word('task.state', s.state)}`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  )
}

// Bar is only a picture of the number beside it.
function Bar({ percent, late = false }: { percent: number; late?: boolean }) {
  return <div className="bar" aria-hidden><div className={late ? 'late' : ''} style={{ width: `${percent}%` }} /></div>
}
