import { Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link, useNavigate, useParams } from 'react-router'
import type { Schema } from '../../api/client'
import { List } from '../../parts/list'
import { useServiceName } from '../../parts/names'
import { Page } from '../../parts/page'
import { useServed } from '../../parts/served'
import { Countdown, stamp, When } from '../../parts/when'
import { KindTag, Measure, useWords } from '../../parts/word'
import { OrderPanel } from './panel'

type Row = Schema<'FlowOrderItem'>

/** Every order that was given, in force or ended; a new one starts from what it springs from. */
export default function Orders() {
  const { t } = useTranslation()
  const { word } = useWords()
  const go = useNavigate()
  const service = useServiceName()
  const { id } = useParams()
  const served = useServed<Row>('/orders', [
    { key: 'state', title: t('orders.state'), label: (v) => word('order.state', v) },
    { key: 'rung', title: t('orders.rung'), label: (v) => word('rung', v) },
    { key: 'measure', title: t('orders.measure'), label: (v) => word('measure', v) },
    { key: 'kind', title: t('orders.kind'), label: (v) => word('kind', v) },
    { key: 'service_id', title: t('orders.service'), label: service },
  ])
  return (
    <Page title={t('menu.orders')} lead={t('orders.lead')}>
      <List<Row>
        name={t('menu.orders')}
        rows={served.rows}
        {...served.list}
        rowKey={(r) => r.id}
        open={(r) => void go(`/orders/${r.id}${location.search}`)}
        empty={t('orders.empty')}
        columns={[
          { key: 'seq', title: t('orders.seq'), width: 70, text: (r) => r.seq },
          { key: 'rung', title: t('orders.rung'), text: (r) => word('rung', r.rung), show: (r) => <>{word('rung', r.rung)} <KindTag kind={r.kind} />{r.emergency && <Tag color="red" variant="outlined">⚡ {t('orders.emergency')}</Tag>}</> },
          { key: 'measure', title: t('orders.measure'), text: (r) => word('measure', r.measure), show: (r) => <Measure measure={r.measure} /> },
          { key: 'state', title: t('orders.state'), text: (r) => word('order.state', r.state) },
          { key: 'service', title: t('orders.service'), text: (r) => r.service_name },
          { key: 'incident', title: t('orders.incident'), text: (r) => r.incident_number, show: (r) => (r.incident_id ? <Link to={`/incidents/${r.incident_id}`}>{r.incident_number}</Link> : <strong className="clock late">‼ {t('orders.orphan')}</strong>) },
          { key: 'issued', title: t('orders.issued'), text: (r) => stamp(r.issued_ms), show: (r) => <When ms={r.issued_ms} /> },
          { key: 'expires', title: t('orders.expires'), text: (r) => stamp(r.expires_ms), show: (r) => (r.state === 'in_force' && r.expires_ms ? <Countdown dueMs={r.expires_ms} /> : <When ms={r.ended_ms ?? 0} />), wide: true },
        ]}
      />
      {id && <OrderPanel id={id} close={() => void go(`/orders${location.search}`)} />}
    </Page>
  )
}
