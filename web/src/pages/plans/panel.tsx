import { Alert, Descriptions, Drawer, Select, Space, Spin, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { useSearchParams } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { Failed } from '../../parts/failed'
import { usePhone } from '../../parts/list'
import { useSay } from '../../parts/say'
import { When } from '../../parts/when'
import { LevelTag, useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'
import { useApprover, useFits } from '.'
import { PlanEditor } from './editor'

type Step = Schema<'PlanStep'>

/** PlanPanel shows one version of a plan: who does what by when, with what, giving what, told to whom. */
export function PlanPanel({ id, close }: { id: string; close: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const me = useMe()
  const phone = usePhone()
  const say = useSay()
  const by = useApprover()
  const fits = useFits()
  const [address, setAddress] = useSearchParams()
  const [editing, setEditing] = useState(false)
  const versions = api.useQuery('get', '/api/v1/plans/{id}/versions', { params: { path: { id } } })
  const asked = Number(address.get('version'))
  const version = versions.data?.some((v) => v.version === asked) ? asked : (versions.data?.find((v) => v.state === 'approved') ?? versions.data?.[0])?.version
  const one = api.useQuery('get', '/api/v1/plans/{id}/versions/{version}', { params: { path: { id, version: version ?? 1 } } }, { enabled: version !== undefined })
  const choose = (v: number) => {
    const next = new URLSearchParams(address)
    next.set('version', String(v))
    setAddress(next, { replace: true })
  }
  const v = one.data
  const p = v?.plan
  const waiting = versions.data?.find((x) => x.state === 'draft' && x.version > (versions.data.find((y) => y.state === 'approved')?.version ?? 0))
  const error = versions.error ?? one.error
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 960} title={p ? <>{say(p.title)} <LevelTag level={p.level} /></> : t('menu.plans')} closable={{ 'aria-label': t('common.close') }}>
      {error ? <Failed error={error} retry={() => { void versions.refetch(); void one.refetch() }} /> : null}
      {versions.data?.length === 0 && <Alert type="warning" showIcon title={t('plans.gone')} />}
      {!v || !p ? !error && versions.data?.length !== 0 && <Spin /> : (
        <>
          {v.state === 'draft' && <Alert type="info" showIcon title={v.created_by === me.id ? t('plans.draft_own') : t('plans.draft_what')} />}
          {v.state !== 'draft' && waiting && <Alert type="info" showIcon title={t('plans.draft_waits', { version: waiting.version })} />}
          {v.approved_by === 'starter' && <Alert type="warning" showIcon title={t('plans.starter_what')} />}
          <Space wrap className="panel-acts">
            <Select
              aria-label={t('plans.version')}
              value={v.version}
              onChange={choose}
              options={versions.data?.map((x) => ({ value: x.version, label: `${t('plans.version_n', { n: x.version })} · ${word('plan.state', x.state)}` }))}
            />
            {v.state === 'draft' && may('plan.approve') && v.created_by !== me.id && (
              <ActForm<object>
                label={t('plans.approve')}
                title={t('plans.approve_of', { name: say(p.title), n: v.version })}
                draft={`plan.${id}.${v.version}.approve`}
                button={{ type: 'primary' }}
                submit={t('plans.approve')}
                fields={<p>{t('plans.approve_what')}</p>}
                call={(_, header) => client.POST('/api/v1/plans/{id}/versions/{version}/approve', { params: { path: { id, version: v.version }, header } })}
                then={() => {
                  void versions.refetch()
                  void one.refetch()
                }}
              />
            )}
            {may('plan.draft') && <PlanEditor label={t('plans.edit')} draft={`plan.${id}.${v.version}`} initial={v.yaml} open={editing} set={setEditing} />}
          </Space>
          <Descriptions
            size="small"
            column={phone ? 1 : 2}
            items={[
              { key: 'category', label: t('plans.category'), children: fits(v.category) },
              { key: 'state', label: t('plans.state'), children: word('plan.state', v.state) },
              { key: 'scenario', label: t('plans.scenario'), children: v.scenario, span: 'filled' as const },
              { key: 'drafted', label: t('plans.drafted'), children: <>{by(v.created_by)}&ensp;<When ms={v.created_ms} /></> },
              { key: 'approved', label: t('plans.approved_by'), children: v.approved_by ? <>{by(v.approved_by)}&ensp;<When ms={v.approved_ms} /></> : t('common.none') },
              { key: 'edition', label: t('plans.edition'), children: v.edition },
              { key: 'digest', label: t('plans.digest'), children: <span className="mono">{v.digest}</span> },
            ]}
          />
          <h2>{t('plans.steps_of', { n: p.steps.length })}</h2>
          <Steps steps={p.steps} />
          {(p.escalation?.length ?? 0) > 0 && (
            <>
              <h2>{t('plans.escalation')}</h2>
              <ul className="rows">{p.escalation.map((e, n) => <li key={n}>{t('plans.escalates', { minutes: e.after_min, role: word('role', e.to), channel: e.channel })}</li>)}</ul>
            </>
          )}
        </>
      )}
    </Drawer>
  )
}

function Steps({ steps }: { steps: Step[] }) {
  const { t } = useTranslation()
  const phone = usePhone()
  const { word } = useWords()
  const say = useSay()
  const minutes = useMinutes()
  const told = (s: Step) => s.told?.map((x) => <div key={x.who}>{who(word, t, x.who)}{t('plans.told_by')}{x.how}</div>)
  const gives = (s: Step) => <>{say(s.output)}{told(s)}</>
  const withWhat = (s: Step) => <>{s.tool && <div>{inWords(t(`plans.tool_${s.tool}` as 'plans.tool_model'), s.tool)}</div>}{s.template && <div className="mono">{word('template', s.template)}</div>}{s.wording && <div className="mono">{s.wording}</div>}</>
  const what = (s: Step) => <>{say(s.title)}{s.automatic && <div><Tag variant="outlined">⚙ {t('plans.automatic')}: {word('plan_action', s.automatic.action)}{s.automatic.rung && ` · ${word('rung', s.automatic.rung)}`}</Tag></div>}</>
  if (phone)
    return (
      <ol className="rows">
        {steps.map((s, n) => (
          <li key={s.id}>
            <strong>{n + 1}. {say(s.title)}</strong>
            <span>{word('role', s.role)} · {minutes(s.within_min)}</span>
            {s.automatic && <Tag variant="outlined">⚙ {word('plan_action', s.automatic.action)}{s.automatic.rung && ` · ${word('rung', s.automatic.rung)}`}</Tag>}
            <span>{t('plans.gives')}: {say(s.output)}</span>
            {s.told?.map((x) => <span key={x.who}>{t('plans.told')}: {who(word, t, x.who)}{t('plans.told_by')}{x.how}</span>)}
          </li>
        ))}
      </ol>
    )
  return (
    <div className="scroll-x">
      <table className="plain">
        <thead><tr><th scope="col">#</th><th scope="col">{t('plans.within')}</th><th scope="col">{t('plans.who')}</th><th scope="col">{t('plans.what')}</th><th scope="col">{t('plans.with')}</th><th scope="col">{t('plans.gives_told')}</th></tr></thead>
        <tbody>
          {steps.map((s, n) => (
            <tr key={s.id}><td>{n + 1}</td><td className="nowrap">{minutes(s.within_min)}</td><td className="nowrap">{word('role', s.role)}</td><td>{what(s)}</td><td>{withWhat(s)}</td><td>{gives(s)}</td></tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** who names a receiver: a role of ours, or somebody outside. */
function who(word: (group: string, id: string) => string, t: (key: 'plans.who_authority') => string, id: string): string {
  const role = word('role', id)
  if (role !== id) return role
  return inWords(t(`plans.who_${id}` as 'plans.who_authority'), id)
}

// A plan may name what we have no word for: then its own stands.
const inWords = (text: string, id: string) => (text.startsWith('[') ? id : text)

/** useMinutes puts a limit in minutes into words of the size that people use. */
export function useMinutes(): (minutes: number) => string {
  const { t } = useTranslation()
  return (m) => (m % 1440 === 0 ? t('plans.days', { n: m / 1440 }) : m % 60 === 0 ? t('plans.hours', { n: m / 60 }) : t('plans.minutes', { n: m }))
}
