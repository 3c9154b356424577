import { Alert, Button, Form, Input, Modal, Progress, Space, Typography } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm, useSend } from '../../parts/act'
import { Failed } from '../../parts/failed'
import { List } from '../../parts/list'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'

/** Verify has the server walk the whole record, and says what it found. */
export function Verify() {
  const { t } = useTranslation()
  const { send, busy, error, clear } = useSend()
  const [open, setOpen] = useState(false)
  const [report, setReport] = useState<Schema<'RecordReport'>>()
  const run = async () => {
    setOpen(true)
    setReport(undefined)
    const r = await send((header) => client.POST('/api/v1/record/verify', { params: { header } as never }))
    if (r.ok) setReport(r.data as Schema<'RecordReport'>)
  }
  return (
    <>
      <Button type="primary" loading={busy} aria-haspopup="dialog" onClick={() => void run()}>{t('record.verify')}</Button>
      <Modal open={open} title={t('record.verify')} footer={null} width={720} onCancel={() => (setOpen(false), clear())}>
        {busy && <><p role="status">{t('record.verifying')}</p><Progress percent={100} status="active" showInfo={false} aria-label={t('record.verifying')} /></>}
        {error ? <Failed error={error} retry={() => void run()} /> : null}
        {report && (
          <>
            <Alert type={report.ok ? 'success' : 'error'} showIcon title={report.ok ? `✓ ${t('record.whole')}` : `✗ ${t('record.broken', { n: report.problem_count })}`} />
            <ul className="rows gap-top">
              <li>{t('record.r_entries', { n: report.entries, epoch: report.epoch })}</li>
              <li>{t('record.r_signed', { n: report.signed })}</li>
              <li>{report.tail ? `! ${t('record.r_tail', { n: report.tail.count, from: report.tail.from + 1, to: report.tail.to + 1 })}` : `✓ ${t('record.r_no_tail')}`}</li>
              <li>{t('record.r_erased', { n: report.erased, scopes: report.erased_scopes })}</li>
              <li>{t('record.signer')} <span className="mono">{report.signer}</span></li>
              <li>{t('record.r_root')} <span className="mono">{report.root}</span></li>
              {report.problems?.map((f, n) => <li key={n} className="clock late">‼ <span className="mono">{f.key} {f.args?.join(' ')}</span></li>)}
            </ul>
            <p>{t('record.r_limits')}</p>
          </>
        )}
      </Modal>
    </>
  )
}

/** Checkpoints are what left the machine; entries after the newest are covered by none. */
export function Checkpoints() {
  const { t } = useTranslation()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/record/checkpoints')
  const last = api.useQuery('get', '/api/v1/record', { params: { query: { limit: 1 } } })
  const size = last.data?.items[0] ? last.data.items[0].idx + 1 : 0
  const tail = data ? size - (data[0]?.size ?? 0) : 0
  return (
    <>
      <p>{t('record.checkpoints_what')}</p>
      {data && size > 0 && <Alert showIcon type={tail > 0 ? 'info' : 'success'} title={tail > 0 ? t('record.tail', { n: tail }) : t('record.no_tail')} />}
      <List<Schema<'RecordCheckpoint'>>
        name={t('record.checkpoints')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(c) => `${c.epoch}.${c.size}`}
        empty={t('record.no_checkpoints')}
        filters={[
          { key: 'day', title: t('record.day'), of: (c) => stamp(c.at_ms).slice(0, 10) },
          { key: 'epoch', title: t('record.epoch'), of: (c) => String(c.epoch) },
        ]}
        columns={[
          { key: 'at', title: t('record.at'), text: (c) => stamp(c.at_ms), show: (c) => <When ms={c.at_ms} /> },
          { key: 'size', title: t('record.covers'), text: (c) => c.size },
          { key: 'epoch', title: t('record.epoch'), wide: true, text: (c) => c.epoch },
          { key: 'root', title: t('record.r_root'), wide: true, text: (c) => String(c.root), show: (c) => <span className="mono">{String(c.root)}</span> },
          { key: 'note', title: t('record.note'), text: () => '', show: (c) => <Typography.Text copyable={{ text: c.note, tooltips: false }}>{t('record.copy')}</Typography.Text> },
        ]}
      />
    </>
  )
}

/** Erasures need a ground and two people; the entry stays, what it was about is gone. */
export function Erasures() {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const me = useMe()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/record/erasures')
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  const decide = (id: string, approve: boolean) => (header: { 'Idempotency-Key': string }) => client.POST('/api/v1/record/erasures/{id}/decide', { params: { path: { id }, header }, body: { approve } })
  return (
    <>
      <Alert type="info" showIcon title={t('record.erasing')} />
      <List<Schema<'FlowErasureAsked'>>
        name={t('record.erasures')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(e) => e.id}
        empty={t('record.no_erasures')}
        filters={[{ key: 'state', title: t('record.state'), of: (e) => e.state, label: (v) => word('second.state', v) }]}
        columns={[
          { key: 'scope', title: t('record.scope'), text: (e) => e.scope, show: (e) => <span className="mono">{e.scope}</span> },
          { key: 'ground', title: t('record.ground'), text: (e) => e.ground },
          { key: 'state', title: t('record.state'), text: (e) => word('second.state', e.state) },
          { key: 'by', title: t('record.asked_by'), wide: true, text: (e) => e.requested_by_name || e.requested_by },
          { key: 'at', title: t('record.at'), text: (e) => stamp(e.requested_ms), show: (e) => <When ms={e.requested_ms} /> },
          {
            key: 'act',
            title: t('record.act'),
            text: () => '',
            show: (e) =>
              e.state !== 'requested' ? (e.seq ? t('record.entry', { n: e.seq }) : null) : !may('record.erase') ? null : e.requested_by === me.id ? t('record.another') : (
                <Space wrap>
                  <ActButton size="small" danger call={decide(e.id, true)} then={() => void refetch()}>{t('record.erase_sure')}</ActButton>
                  <ActButton size="small" call={decide(e.id, false)} then={() => void refetch()}>{t('record.reject')}</ActButton>
                </Space>
              ),
          },
        ]}
        actions={
          may('record.erase') && (
            <ActForm<{ scope: string; ground: string }>
              label={t('record.ask_erasure')}
              draft="record.erasure"
              fields={
                <>
                  <p>{t('record.erasing')}</p>
                  <Form.Item name="scope" label={t('record.scope')} extra={t('record.scope_what')} rules={must(t('record.scope'))}><Input maxLength={200} placeholder="subject:…" /></Form.Item>
                  <Form.Item name="ground" label={t('record.ground')} rules={must(t('record.ground'))}><Input.TextArea rows={3} maxLength={1000} /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/record/erasures', { params: { header }, body: v })}
              done={t('record.erasure_asked')}
              then={() => void refetch()}
            />
          )
        }
      />
    </>
  )
}

const steps = [
  ['record.how_signer', 'fengsui record signer'],
  ['record.how_export', 'fengsui record export --out record.jsonl'],
  ['record.how_verify', 'fengsui record verify --file record.jsonl --signer FINGERPRINT --checkpoints FOLDER'],
] as const

/** Outside says how somebody who trusts neither us nor this server verifies the record. */
export function Outside() {
  const { t } = useTranslation()
  return (
    <>
      <p>{t('record.how')}</p>
      <ol>
        {steps.map(([key, line]) => <li key={key}><p>{t(key)}</p><Typography.Paragraph className="masked mono" copyable={{ text: line, tooltips: false }}>{line}</Typography.Paragraph></li>)}
      </ol>
    </>
  )
}
