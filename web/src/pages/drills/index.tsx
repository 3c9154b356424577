import { Alert, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import './drills.css'
import { Link, useNavigate, useParams } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActButton } from '../../parts/act'
import { List } from '../../parts/list'
import { usePersonName } from '../../parts/names'
import { Page } from '../../parts/page'
import { stamp, useSpan, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { DrillPanel } from './panel'

type Row = Schema<'FlowDrillBrief'>

const signs: Record<string, string> = { running: '▶', paused: '⏸', passed: '✓', failed: '✗', aborted: '■' }

/** State says where a drill stands. */
export function State({ drill }: { drill: Pick<Row, 'state' | 'interrupted'> }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const colors: Record<string, string> = { running: 'blue', paused: 'gold', passed: 'green', failed: 'red' }
  return (
    <>
      <Tag variant="outlined" color={colors[drill.state]} className="nowrap"><span aria-hidden>{signs[drill.state]} </span>{word('drill.state', drill.state)}</Tag>
      {drill.interrupted && <Tag variant="outlined" color="red">⚠ {t('drills.interrupted')}</Tag>}
    </>
  )
}

/** useTook puts a length of time into words of its size. */
export function useTook(): (ms: number) => string {
  const { t } = useTranslation()
  const span = useSpan()
  return (ms) => (ms <= 0 ? t('common.none') : ms < 1000 ? t('drills.ms', { n: Math.round(ms) }) : ms < 60_000 ? t('drills.seconds', { n: (ms / 1000).toFixed(1) }) : span(ms))
}

/** useCase names a scenario. */
export function useCase(): (scenario: string) => string {
  const { t } = useTranslation()
  return (s) => (s === 'A.1' ? t('drills.case_1') : s === 'A.2' ? t('drills.case_2') : s)
}

/** Drills: start one by one press, watch it, and compare its times with the plan's. */
export default function Drills() {
  const { t } = useTranslation()
  const { options, word } = useWords()
  const may = useMay()
  const go = useNavigate()
  const took = useTook()
  const named = useCase()
  const person = usePersonName()
  const { id } = useParams()
  const drills = api.useQuery('get', '/api/v1/drills', { params: { query: { limit: 500 } } }, { refetchInterval: (q) => (q.state.data?.some((d) => d.state === 'running' && !d.interrupted) ? 2000 : false) })
  const running = drills.data?.find((d) => (d.state === 'running' || d.state === 'paused') && !d.interrupted)
  const start = (scenario: 'A.1' | 'A.2') => (
    <ActButton
      type="primary"
      disabled={running !== undefined}
      title={running ? t('drills.one_at_a_time') : undefined}
      call={(header) => client.POST('/api/v1/drills/run', { params: { header }, body: { scenario } } as never)}
      done={t('drills.started')}
      then={(d: Schema<'Drill'>) => {
        void drills.refetch()
        void go(`/drills/${d.id}`)
      }}
    >
      ▶ {named(scenario)}
    </ActButton>
  )
  return (
    <Page title={t('menu.drills')} lead={t('drills.lead')} extra={may('drill.run') && <>{start('A.1')}{start('A.2')}</>}>
      {running && <Alert type="info" showIcon title={<Link to={`/drills/${running.id}`}>{t('drills.now', { number: running.number, name: named(running.scenario) })}</Link>} />}
      <List<Row>
        name={t('menu.drills')}
        rows={drills.data}
        error={drills.error ?? undefined}
        loading={drills.isLoading}
        reload={() => void drills.refetch()}
        rowKey={(r) => r.id}
        open={(r) => void go(`/drills/${r.id}${location.search}`)}
        empty={may('drill.run') ? t('drills.empty') : t('drills.empty_read')}
        filters={[
          { key: 'state', title: t('drills.state'), options: options('drill.state'), of: (r) => r.state },
          { key: 'scenario', title: t('drills.scenario'), options: ['A.1', 'A.2'].map((value) => ({ value, label: named(value) })), of: (r) => r.scenario },
        ]}
        columns={[
          { key: 'number', title: t('drills.number'), text: (r) => r.number, show: (r) => <span className="nowrap">{r.number}</span> },
          { key: 'scenario', title: t('drills.scenario'), text: (r) => named(r.scenario) },
          { key: 'state', title: t('drills.state'), text: (r) => `${word('drill.state', r.state)}${r.interrupted ? ` ${t('drills.interrupted')}` : ''}`, show: (r) => <State drill={r} /> },
          { key: 'total', title: t('drills.total'), text: (r) => took(r.total_ms) },
          { key: 'incident', title: t('drills.incident'), text: (r) => r.incident_id, show: (r) => (r.incident_id && may('incident.read') ? <Link to={`/incidents/${r.incident_id}`}>{t('drills.see')}</Link> : t('common.none')) },
          { key: 'started', title: t('drills.started_at'), sort: true, text: (r) => stamp(r.started_ms), show: (r) => <When ms={r.started_ms} />, wide: true },
          { key: 'by', title: t('drills.started_by'), text: (r) => person(r.started_by), wide: true },
        ]}
      />
      {id && <DrillPanel key={id} id={id} close={() => void go(`/drills${location.search}`)} />}
    </Page>
  )
}
