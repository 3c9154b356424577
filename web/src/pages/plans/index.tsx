import { Tabs } from 'antd'
import { useTranslation } from '../../shell/language'
import './plans.css'
import { useNavigate, useParams, useSearchParams } from 'react-router'
import { api } from '../../api/client'
import { List } from '../../parts/list'
import { usePersonName } from '../../parts/names'
import { Page } from '../../parts/page'
import { useSay } from '../../parts/say'
import { When } from '../../parts/when'
import { LevelTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { Coverage } from './coverage'
import { NewPlan } from './editor'
import { library, type Entry } from './library'
import { PlanPanel } from './panel'

/** useApprover names who put a version in force; what ships has no approver here. */
export function useApprover(): (by: string) => string {
  const { t } = useTranslation()
  const person = usePersonName()
  return (by) => (by === 'starter' || by.startsWith('system') ? t('plans.starter_short') : person(by))
}

/** useFits names the incidents that a plan is for. */
export function useFits(): (category: string) => string {
  const { t } = useTranslation()
  const { word } = useWords()
  return (category) => (category === '*' ? t('plans.any') : word(category.includes('.') ? 'guide_type' : 'guide_group', category))
}

/** The plans: which there are, and which category and level has one that was drilled. */
export default function Plans() {
  const { t } = useTranslation()
  const { options, word } = useWords()
  const may = useMay()
  const go = useNavigate()
  const say = useSay()
  const by = useApprover()
  const fits = useFits()
  const { id } = useParams()
  const [address, setAddress] = useSearchParams()
  const plans = api.useQuery('get', '/api/v1/plans')
  const rows = plans.data && library(plans.data)
  const view = address.get('view') === 'coverage' ? 'coverage' : 'library'
  const list = (
    <List<Entry>
      name={t('plans.library')}
      rows={rows}
      error={plans.error ?? undefined}
      loading={plans.isLoading}
      reload={() => void plans.refetch()}
      rowKey={(r) => r.id}
      open={(r) => void go(`/plans/${r.id}${location.search}`)}
      empty={t('plans.empty')}
      filters={[
        { key: 'state', title: t('plans.state'), options: options('plan.state'), of: (r) => (r.draft ? 'draft' : r.shown.state) },
        { key: 'level', title: t('plans.level'), options: [1, 2, 3, 4].map((l) => ({ value: String(l), label: word('level', l) })), of: (r) => String(r.shown.level) },
        { key: 'category', title: t('plans.category'), options: [...new Set(rows?.map((r) => r.shown.category))].map((value) => ({ value, label: fits(value) })), of: (r) => r.shown.category },
      ]}
      columns={[
        { key: 'title', title: t('plans.title'), sort: true, text: (r) => `${say(r.shown.plan?.title)} · ${r.id} · ${r.shown.scenario}`, show: (r) => <>{say(r.shown.plan?.title)}<div className="mono">{r.id}</div></> },
        { key: 'level', title: t('plans.level'), sort: true, text: (r) => r.shown.level, show: (r) => <LevelTag level={r.shown.level} /> },
        { key: 'category', title: t('plans.category'), text: (r) => fits(r.shown.category) },
        { key: 'state', title: t('plans.state'), text: (r) => `${word('plan.state', r.shown.state)}${r.draft ? ` ${t('plans.draft_waits', { version: r.draft.version })}` : ''}`, show: (r) => <State entry={r} /> },
        { key: 'steps', title: t('plans.steps'), text: (r) => r.shown.plan?.steps.length ?? 0, wide: true },
        { key: 'by', title: t('plans.approved_by'), text: (r) => by(r.shown.approved_by), show: (r) => (r.shown.approved_by ? <>{r.shown.approved_by === 'starter' && '⚠ '}{by(r.shown.approved_by)}<div><When ms={r.shown.approved_ms} /></div></> : t('common.none')) },
      ]}
    />
  )
  return (
    <Page title={t('menu.plans')} lead={t('plans.lead')} extra={may('plan.draft') && <NewPlan edition={plans.data?.[0]?.edition ?? ''} />}>
      <Tabs
        activeKey={view}
        onChange={(v) => setAddress(v === 'coverage' ? { view: v } : {})}
        items={[
          { key: 'library', label: t('plans.library'), children: list },
          { key: 'coverage', label: t('plans.coverage'), children: <Coverage /> },
        ]}
      />
      {id && <PlanPanel key={id} id={id} close={() => void go(`/plans${view === 'coverage' ? '?view=coverage' : ''}`)} />}
    </Page>
  )
}

function State({ entry }: { entry: Entry }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const signs: Record<string, string> = { approved: '✓', draft: '✎', retired: '▢' }
  return (
    <>
      {signs[entry.shown.state]} {word('plan.state', entry.shown.state)} · {t('plans.version_n', { n: entry.shown.version })}
      {entry.draft && entry.draft !== entry.shown && <div>✎ {t('plans.draft_waits', { version: entry.draft.version })}</div>}
    </>
  )
}
