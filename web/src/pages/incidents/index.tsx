import { Form, Input, Select } from 'antd'
import { useTranslation } from '../../shell/language'
import { useNavigate } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { List, type Column } from '../../parts/list'
import { Page } from '../../parts/page'
import { useServed } from '../../parts/served'
import { AtOnce, Countdown, stamp, When } from '../../parts/when'
import { KindTag, LevelTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { beijingMs, Moment, Pick } from '../incident/fields'

type Row = Schema<'FlowIncidentItem'>

/** All incidents that one may know of, with the nearest clock of each. */
export default function Incidents() {
  const { t } = useTranslation()
  const { word } = useWords()
  const go = useNavigate()
  const may = useMay()
  const { data: services } = api.useQuery('get', '/api/v1/services', {}, { enabled: may('service.read'), staleTime: 60_000 })
  const { rows, list } = useServed<Row>('/incidents', [
    { key: 'state', title: t('incidents.state'), label: (v) => word('incident.state', v) },
    { key: 'level', title: t('incidents.level'), label: (v) => (v === '0' ? t('common.ungraded') : word('level', v)) },
    { key: 'kind', title: t('incidents.kind'), label: (v) => word('kind', v) },
    { key: 'service_id', title: t('incidents.service'), label: (v) => services?.find((s) => s.id === v)?.name ?? v.slice(-6) },
    { key: 'restricted', title: t('incidents.restricted'), label: (v) => t(v === 'true' ? 'common.yes' : 'common.no') },
  ])
  const columns: Column<Row>[] = [
    { key: 'number', title: t('incidents.number'), text: (r) => r.number, show: (r) => <span className="nowrap mono">{r.number}</span>, width: 130 },
    { key: 'title', title: t('incidents.title'), text: (r) => r.title, show: (r) => <><KindTag kind={r.kind} />{r.restricted && <span title={t('incidents.restricted')}>🔒 </span>}{r.title}</> },
    { key: 'level', title: t('incidents.level'), text: (r) => r.level.working, show: (r) => <LevelTag level={r.level.final ?? r.level.working} working={r.level.working > 0 && r.level.final === null} />, width: 140 },
    { key: 'clock', title: t('incidents.clock'), text: (r) => stamp(r.nearest_since_ms || r.nearest_due_ms), show: (r) => (r.nearest_due_rule ? <>{r.nearest_since_ms ? <AtOnce sinceMs={r.nearest_since_ms} /> : <Countdown dueMs={r.nearest_due_ms} />}<br /><small>{word('obligation_rule', r.nearest_due_rule)}</small></> : t('common.none')), width: 210 },
    { key: 'state', title: t('incidents.state'), text: (r) => word('incident.state', r.state), width: 110 },
    { key: 'tasks', title: t('incidents.tasks'), text: (r) => r.open_tasks, width: 90, wide: true },
    { key: 'service', title: t('incidents.service'), text: (r) => r.service_name, width: 150, wide: true },
    { key: 'declared', title: t('incidents.declared'), text: (r) => stamp(r.declared_ms), show: (r) => <When ms={r.declared_ms} />, width: 170, wide: true },
  ]
  return (
    <Page title={t('menu.incidents')}>
      <List<Row> name={t('menu.incidents')} rows={rows} rowKey={(r) => r.id} columns={columns} {...list} open={(r) => go(`/incidents/${r.id}`)} empty={t('incidents.empty')} actions={<Declare />} />
    </Page>
  )
}

function Declare() {
  const { t } = useTranslation()
  const may = useMay()
  const go = useNavigate()
  const { data: services } = api.useQuery('get', '/api/v1/services', {}, { enabled: may('service.read') && may('incident.declare'), staleTime: 60_000 })
  if (!may('incident.declare')) return null
  return (
    <ActForm<{ service_id: string; title: string; kind: 'real' | 'drill' | 'test' | 'backfill'; aware?: string; aware_source?: string }>
      label={t('incidents.declare')}
      draft="incident.declare"
      initial={{ kind: 'real', service_id: services?.length === 1 ? services[0].id : undefined, aware: stamp(Date.now()), aware_source: 'declared' }}
      call={(v, headers) => client.POST('/api/v1/incidents', { headers, body: { service_id: v.service_id, title: v.title, kind: v.kind, aware_ms: v.aware ? beijingMs(v.aware) : 0, aware_source: v.aware_source ?? 'declared' } })}
      then={(i: { id: string }) => go(`/incidents/${i.id}`)}
      fields={
        <>
          <Form.Item name="service_id" label={t('incidents.service')} rules={[{ required: true, message: t('common.required', { name: t('incidents.service') }) }]}>
            <Select showSearch={{ optionFilterProp: 'label' }} options={services?.map((s) => ({ value: s.id, label: s.name }))} />
          </Form.Item>
          <Form.Item name="title" label={t('incidents.title')} rules={[{ required: true, whitespace: true, message: t('common.required', { name: t('incidents.title') }) }]}>
            <Input maxLength={200} autoFocus />
          </Form.Item>
          <Pick name="kind" label={t('incidents.kind')} group="kind" only={['real', 'test', 'backfill']} />
          <Moment name="aware" label={t('incidents.aware')} hint={t('incidents.aware_what')} />
          <Pick name="aware_source" label={t('incidents.aware_source')} group="awareness_source" />
        </>
      }
    />
  )
}
