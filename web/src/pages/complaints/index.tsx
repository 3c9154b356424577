import { Alert, Descriptions, Drawer, Form, Input, Space } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { Link, useNavigate, useParams } from 'react-router'
import { client, type Schema } from '../../api/client'
import { ActForm, useSend } from '../../parts/act'
import { Failed } from '../../parts/failed'
import { List, usePhone } from '../../parts/list'
import { Page } from '../../parts/page'
import { useServiceName } from '../../parts/names'
import { useServed } from '../../parts/served'
import { stamp, When } from '../../parts/when'
import { KindTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'

type Row = Schema<'FlowComplaintItem'>

/** Complaints, reports and rights notices. Reading one counts as awareness: the clock may start from it. */
export default function Complaints() {
  const { t } = useTranslation()
  const { word } = useWords()
  const go = useNavigate()
  const service = useServiceName()
  const { id } = useParams()
  const served = useServed<Row>('/complaints', [
    { key: 'state', title: t('complaints.state'), label: (v) => word('complaint.state', v) },
    { key: 'kind', title: t('complaints.kind'), label: (v) => word('complaint.kind', v) },
    { key: 'service_id', title: t('complaints.service'), label: service },
  ])
  return (
    <Page title={t('menu.complaints')} lead={t('complaints.lead')} extra={<a href="/complaint" target="_blank" rel="noreferrer">{t('complaints.form')}</a>}>
      <List<Row>
        name={t('menu.complaints')}
        rows={served.rows}
        {...served.list}
        rowKey={(r) => r.id}
        open={(r) => void go(`/complaints/${r.id}${location.search}`)}
        empty={t('complaints.empty')}
        columns={[
          { key: 'number', title: t('complaints.number'), text: (r) => r.number, show: (r) => <span className="nowrap">{r.number} <KindTag kind={r.traffic_kind} /></span> },
          { key: 'kind', title: t('complaints.kind'), text: (r) => word('complaint.kind', r.kind) },
          { key: 'state', title: t('complaints.state'), text: (r) => word('complaint.state', r.state) },
          { key: 'service', title: t('complaints.service'), text: (r) => r.service_name },
          { key: 'content', title: t('complaints.content'), text: (r) => r.content_no ?? '', show: (r) => <span className="mono">{r.content_no}</span>, wide: true },
          { key: 'received', title: t('complaints.received'), text: (r) => stamp(r.received_ms), show: (r) => <When ms={r.received_ms} /> },
          { key: 'anomaly', title: t('complaints.anomaly'), text: (r) => r.anomaly_id, show: (r) => r.anomaly_id && <Link to={`/anomalies/${r.anomaly_id}`}>{t('complaints.see')}</Link> },
        ]}
      />
      {id && <Letter key={id} id={id} close={() => void go(`/complaints${location.search}`)} />}
    </Page>
  )
}

function Letter({ id, close }: { id: string; close: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const phone = usePhone()
  const { send, error } = useSend()
  const [read, setRead] = useState<Schema<'ComplaintRead'>>()
  useEffect(() => {
    void send(() => client.POST('/api/v1/complaints/{id}/read', { params: { path: { id } } })).then((r) => r.ok && setRead(r.data as Schema<'ComplaintRead'>))
  }, [id]) // eslint-disable-line
  const c = read?.complaint
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 640} title={c?.number ?? t('menu.complaints')} closable={{ 'aria-label': t('common.close') }}>
      {error ? <Failed error={error} /> : null}
      {c && (
        <>
          <Alert type="info" showIcon title={t('complaints.read_counts')} />
          <Descriptions
            size="small"
            column={1}
            className="gap-top"
            items={[
              { key: 'kind', label: t('complaints.kind'), children: word('complaint.kind', c.kind) },
              { key: 'state', label: t('complaints.state'), children: word('complaint.state', c.state) },
              { key: 'received', label: t('complaints.received'), children: <When ms={c.received_ms} /> },
              { key: 'content', label: t('complaints.content'), children: <span className="mono">{c.content_no}</span> },
              { key: 'contact', label: t('complaints.contact'), children: read.letter.contact || t('common.none') },
            ]}
          />
          <h2>{t('complaints.text')}</h2>
          <div className="masked">{read.letter.text}</div>
          <Space className="panel-acts gap-top" wrap>
            {c.anomaly_id && <Link to={`/anomalies/${c.anomaly_id}`}>{t('complaints.anomaly')}</Link>}
            {c.state !== 'answered' && may('complaint.answer') && (
              <ActForm<{ text: string }>
                label={t('complaints.answer')}
                draft={`complaint.${id}.answer`}
                button={{ type: 'primary' }}
                fields={
                  <Form.Item name="text" label={t('complaints.answer_text')} extra={t('complaints.answer_what')} rules={[{ required: true, message: t('common.required', { name: t('complaints.answer_text') }) }]}>
                    <Input.TextArea rows={5} maxLength={4000} />
                  </Form.Item>
                }
                call={(v, header) => client.POST('/api/v1/complaints/{id}/answer', { params: { path: { id }, header }, body: v })}
                then={(a: Schema<'IntakeComplaint'>) => setRead({ ...read, complaint: a })}
              />
            )}
          </Space>
        </>
      )}
    </Drawer>
  )
}
