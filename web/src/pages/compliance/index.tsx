import { Alert, Space, Statistic, Tag } from 'antd'
import { Link } from 'react-router'
import { api, type Schema } from '../../api/client'
import { Define } from '../../parts/define'
import { List } from '../../parts/list'
import { Page } from '../../parts/page'
import { stamp, When } from '../../parts/when'
import { language, useTranslation } from '../../shell/language'
import { pathOf } from '../../shell/jump'

type Row = Schema<'ComplianceRow'>
const marks: Record<string, [string, string]> = { satisfied: ['green', '✓'], partial: ['gold', '◐'], gap: ['red', '✗'], not_applicable: ['default', '–'] }
const statuses = ['satisfied', 'partial', 'gap', 'not_applicable'] as const

/** Every clause of the guide: what satisfies it here, this instance's proof, and what is missing. */
export default function Compliance() {
  const { t } = useTranslation()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/compliance')
  const says = (w: { zh: string; en: string }) => w[language()]
  const status = (s: string) => t(`compliance.${s}` as 'compliance.gap')
  const chapter = (clause: string) => clause.split('.')[0]
  const chapters = (data?.rows ?? []).filter((r) => r.depth === 0)
  return (
    <Page title={t('menu.compliance')} lead={t('compliance.lead')}>
      {data && (
        <Space size="large" wrap className="panel-acts">
          {statuses.map((s) => <Statistic key={s} title={<>{marks[s][1]} {status(s)}</>} value={data.totals[s] ?? 0} />)}
          <span>{t('compliance.edition')} {data.edition}</span>
        </Space>
      )}
      {data && <Define text={t('compliance.what_counts')} />}
      <Alert type="info" showIcon title={t('compliance.honest')} className="panel-acts" />
      <List<Row>
        name={t('menu.compliance')}
        rows={data?.rows}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(r) => r.clause}
        empty={t('compliance.empty')}
        filters={[
          { key: 'status', title: t('compliance.status'), options: statuses.map((s) => ({ value: s, label: status(s) })), of: (r) => r.status },
          { key: 'chapter', title: t('compliance.chapter'), options: chapters.map((c) => ({ value: c.clause, label: `${c.clause} ${says(c.name)}` })), of: (r) => chapter(r.clause) },
        ]}
        columns={[
          { key: 'clause', title: t('compliance.clause'), width: 90, text: (r) => r.clause, show: (r) => (r.depth === 0 ? <strong>{r.clause}</strong> : r.clause) },
          { key: 'name', title: t('compliance.name'), text: (r) => says(r.name), show: (r) => (r.depth === 0 ? <strong>{says(r.name)}</strong> : says(r.name)) },
          { key: 'status', title: t('compliance.status'), width: 110, text: (r) => status(r.status), show: (r) => <Tag variant="outlined" color={marks[r.status]?.[0]}>{marks[r.status]?.[1]} {status(r.status)}</Tag> },
          { key: 'by', title: t('compliance.by'), text: (r) => says(r.by) },
          { key: 'at', title: t('compliance.proof'), width: 170, text: (r) => stamp(r.at_ms), show: (r) => (r.object_id ? <Link to={pathOf({ kind: r.object_kind, id: r.object_id })}>{r.at_ms ? <When ms={r.at_ms} /> : t('compliance.see')}</Link> : <When ms={r.at_ms} />) },
          { key: 'gaps', title: t('compliance.gap_what'), text: (r) => r.gaps.map(says).join(' '), show: (r) => r.gaps.map((g) => <div key={g.zh}>{says(g)}</div>) },
        ]}
      />
    </Page>
  )
}
