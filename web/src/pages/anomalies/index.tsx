import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { useNavigate, useParams } from 'react-router'
import type { Schema } from '../../api/client'
import { List } from '../../parts/list'
import { Page } from '../../parts/page'
import { useServiceName } from '../../parts/names'
import { useServed } from '../../parts/served'
import { stamp, When } from '../../parts/when'
import { KindTag, SeverityTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { AnomalyPanel } from './panel'
import { MergeForm } from './merge'

type Row = Schema<'FlowAnomalyItem'>

/** The queue: what the rules and people found, waiting for 研判. */
export default function Anomalies() {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const go = useNavigate()
  const service = useServiceName()
  const { id } = useParams()
  const [chosen, setChosen] = useState<string[]>([])
  const [ask, setAsk] = useState<'dismiss' | 'contain' | 'promote' | undefined>()
  const served = useServed<Row>('/anomalies', [
    { key: 'state', title: t('anomalies.state'), label: (v) => word('anomaly.state', v) },
    { key: 'severity', title: t('anomalies.severity'), label: (v) => word('severity', v) },
    { key: 'kind', title: t('anomalies.kind'), label: (v) => word('kind', v) },
    { key: 'service_id', title: t('anomalies.service'), label: service },
    { key: 'risk', title: t('anomalies.risk'), label: (v) => word('risk', v) },
    { key: 'rule_id', title: t('anomalies.rule'), label: (v) => word('signal_rule', v) },
  ])
  const rows = served.rows ?? []
  const act = (what: typeof ask) => (row: Row) => {
    setAsk(what)
    void go(`/anomalies/${row.id}${location.search}`)
  }
  const merging = rows.filter((r) => chosen.includes(r.id))
  return (
    <Page title={t('menu.anomalies')} lead={t('anomalies.lead')}>
      <List<Row>
        name={t('menu.anomalies')}
        rows={served.rows}
        {...served.list}
        rowKey={(r) => r.id}
        open={(r) => void go(`/anomalies/${r.id}${location.search}`)}
        keys={may('anomaly.assess') ? { d: act('dismiss'), c: act('contain'), p: act('promote') } : undefined}
        choose={may('anomaly.assess') ? { chosen, set: setChosen } : undefined}
        empty={t('anomalies.empty')}
        actions={chosen.length >= 2 && <MergeForm rows={merging} done={() => setChosen([])} />}
        columns={[
          { key: 'severity', title: t('anomalies.severity'), width: 90, text: (r) => word('severity', r.severity), show: (r) => <SeverityTag severity={r.severity} /> },
          { key: 'number', title: t('anomalies.number'), width: 120, text: (r) => r.number, show: (r) => <span className="nowrap">{r.number} <KindTag kind={r.kind} /></span> },
          { key: 'state', title: t('anomalies.state'), width: 90, text: (r) => word('anomaly.state', r.state) },
          { key: 'risk', title: t('anomalies.risk'), width: 190, text: (r) => word('risk', r.risk) || word('signal_rule', r.rule_id), show: (r) => <>{word('risk', r.risk) || word('signal_rule', r.rule_id)}{r.category && <><br /><small>{word('guide_type', r.category)}</small></>}</> },
          { key: 'service', title: t('anomalies.service'), text: (r) => r.service_name },
          { key: 'signals', title: t('anomalies.signals'), width: 80, text: (r) => r.signals },
          { key: 'subjects', title: t('anomalies.subjects'), width: 80, text: (r) => r.subjects, wide: true },
          { key: 'first', title: t('anomalies.first'), width: 160, text: (r) => stamp(r.first_ms), show: (r) => <When ms={r.first_ms} />, wide: true },
          { key: 'last', title: t('anomalies.last'), width: 160, text: (r) => stamp(r.last_ms), show: (r) => <When ms={r.last_ms} /> },
        ]}
      />
      {id && (
        <AnomalyPanel
          id={id}
          ask={ask}
          asked={() => setAsk(undefined)}
          close={() => {
            setAsk(undefined)
            void go(`/anomalies${location.search}`)
          }}
        />
      )}
    </Page>
  )
}
