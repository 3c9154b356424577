import { PoweroffOutlined } from '@ant-design/icons'
import { Alert, App, Button, Form, Input, Modal, Select, Space, Tag } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from '../shell/language'
import { api, client, type Schema } from '../api/client'
import { ActForm, useSend } from './act'
import { Failed } from './failed'
import { useWords } from './word'

/** Cause is what an order springs from. */
export type Cause = { cause: 'anomaly' | 'incident' | 'directive' | 'drill'; cause_id: string }

type Body = Schema<'OrderBodyBody'>
type Values = Omit<Body, 'cause' | 'cause_id' | 'params' | 'expires_ms'> & { topics?: string; groups?: string; backup?: string; notice_zh?: string; notice_en?: string; hours?: number }

const list = (s?: string) => (s ?? '').split(/[\s,，、]+/).filter(Boolean)

/** bodyOf turns what was filled in into an order; now is the server's present in milliseconds. */
export function bodyOf(v: Values, cause: Cause, now: number): Body {
  const params: Schema<'OrderParams'> = {}
  if (v.rung === 'topic_block') params.topic_ids = list(v.topics)
  if (v.rung === 'audience_limit') params.allowed_groups = list(v.groups)
  if (v.rung === 'backup_model') params.backup_id = v.backup ?? ''
  if (v.rung === 'service_offline') Object.assign(params, { notice_zh: v.notice_zh ?? '', notice_en: v.notice_en ?? '' })
  const body: Body = { ...cause, service_id: v.service_id, rung: v.rung, reason: v.reason ?? '', params }
  for (const k of ['deployment_id', 'route', 'tenant', 'group'] as const) if (v[k]) body[k] = v[k]
  if (v.hours && v.rung !== 'service_offline') body.expires_ms = now + Number(v.hours) * 3600_000
  return body
}

/** OrderForm issues an order: the ladder, its scope, and whom it would hit, before it is given. */
export function OrderForm(p: { cause: Cause; serviceId?: string; label: string; open?: boolean; onClose?: () => void; primary?: boolean; rung?: Body['rung']; then?: (o: Schema<'ContainmentOrder'>) => void }) {
  const { t } = useTranslation()
  const { options } = useWords()
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  const services = api.useQuery('get', '/api/v1/services', {}, { staleTime: 60_000 })
  const lexicon = api.useQuery('get', '/api/v1/lexicon', {}, { staleTime: 60_000, retry: false })
  return (
    <ActForm<Values>
      label={p.label}
      title={t('order.issue')}
      draft={`order.${p.cause.cause}.${p.cause.cause_id}`}
      initial={{ service_id: p.serviceId, rung: p.rung ?? 'strict_filter' } as Partial<Values>}
      open={p.open}
      onClose={p.onClose}
      wide
      submit={t('order.issue')}
      button={{ type: p.primary ? 'primary' : 'default', danger: p.primary }}
      fields={(form) => (
        <>
          <Form.Item name="service_id" label={t('order.service')} rules={must(t('order.service'))}>
            <Select options={services.data?.map((s) => ({ value: s.id, label: s.name }))} showSearch={{ optionFilterProp: 'label' }} />
          </Form.Item>
          <Form.Item name="rung" label={t('order.rung')} rules={must(t('order.rung'))} extra={t('order.ladder')}>
            <Select options={options('rung')} />
          </Form.Item>
          <Form.Item noStyle shouldUpdate>
            {() => {
              const rung = form.getFieldValue('rung')
              return (
                <>
                  {rung === 'topic_block' && <Form.Item name="topics" label={t('order.topics')} extra={t('order.topics_what')} rules={must(t('order.topics'))}><Input list="topics" /></Form.Item>}
                  {rung === 'audience_limit' && <Form.Item name="groups" label={t('order.groups')} extra={t('order.groups_what')} rules={must(t('order.groups'))}><Input /></Form.Item>}
                  {rung === 'backup_model' && <Backup service={form.getFieldValue('service_id')} />}
                  {rung === 'service_offline' && (
                    <>
                      <Alert type="warning" showIcon title={t('order.offline_what')} />
                      <Form.Item name="notice_zh" label={t('order.notice_zh')}><Input.TextArea rows={2} maxLength={500} /></Form.Item>
                      <Form.Item name="notice_en" label={t('order.notice_en')}><Input.TextArea rows={2} maxLength={500} /></Form.Item>
                    </>
                  )}
                </>
              )
            }}
          </Form.Item>
          <details>
            <summary>{t('order.scope')}</summary>
            <Space wrap>
              <Form.Item name="group" label={t('order.group')}><Input maxLength={100} /></Form.Item>
              <Form.Item name="tenant" label={t('order.tenant')}><Input maxLength={100} /></Form.Item>
              <Form.Item name="route" label={t('order.route')}><Input maxLength={100} /></Form.Item>
              <Form.Item name="hours" label={t('order.hours')} extra={t('order.hours_what')} rules={[{ validator: (_, v) => (!v || (Number.isInteger(Number(v)) && Number(v) >= 1 && Number(v) <= 720) ? Promise.resolve() : Promise.reject(new Error(t('order.hours_wrong')))) }]}><Input type="number" min={1} max={720} /></Form.Item>
            </Space>
          </details>
          <Form.Item name="reason" label={t('order.reason')} rules={must(t('order.reason'))}>
            <Input.TextArea rows={2} maxLength={2000} />
          </Form.Item>
          <Form.Item noStyle shouldUpdate>{() => <Hit values={form.getFieldsValue(true) as Values} cause={p.cause} />}</Form.Item>
          <datalist id="topics">{[...new Set((lexicon.data ?? []).map((e) => e.topic).filter(Boolean))].map((x) => <option key={x} value={x} />)}</datalist>
        </>
      )}
      call={(v, header) => client.POST('/api/v1/orders', { body: bodyOf(v, p.cause, Date.now()), params: { header } })}
      done={t('order.issued')}
      then={p.then as never}
    />
  )
}

function Backup({ service }: { service?: string }) {
  const { t } = useTranslation()
  const { data } = api.useQuery('get', '/api/v1/services/{id}/deployments', { params: { path: { id: service ?? '' } } }, { enabled: !!service })
  return (
    <Form.Item name="backup" label={t('order.backup')} rules={[{ required: true, message: t('common.required', { name: t('order.backup') }) }]}>
      <Select options={data?.filter((d) => d.role === 'backup').map((d) => ({ value: d.id, label: d.name }))} notFoundContent={t('order.no_backup')} />
    </Form.Item>
  )
}

/** Hit asks the server whom an order would have hit, of the traffic of the last minutes. */
function Hit({ values, cause }: { values: Values; cause: Cause }) {
  const { t } = useTranslation()
  const [hit, setHit] = useState<Schema<'ContainmentHit'>>()
  const [error, setError] = useState<unknown>()
  const asked = JSON.stringify(bodyOf({ ...values, reason: values.reason || '-' }, cause, 0))
  useEffect(() => {
    const body = JSON.parse(asked) as Body
    if (!body.service_id || !body.rung) return
    let gone = false
    const soon = setTimeout(async () => {
      const r = await client.POST('/api/v1/orders/preview', { body }).catch((e: unknown) => ({ data: undefined, error: e }))
      if (gone) return
      setHit(r.data)
      setError(r.error)
    }, 400)
    return () => {
      gone = true
      clearTimeout(soon)
    }
  }, [asked])
  if (error) return <Failed error={error} />
  if (!hit) return null
  return (
    <div role="status" className="hit">
      <strong>{t('order.hit', { requests: hit.requests, subjects: hit.subjects, unknown: hit.unknown })}</strong>{' '}
      {Object.entries(hit.by_group).map(([group, n]) => <Tag key={group} variant="outlined">{group || t('order.no_group')}: {n}</Tag>)}
      {hit.conflicts.length > 0 && <Alert type="info" showIcon title={t('order.conflicts', { n: hit.conflicts.length })} />}
    </div>
  )
}

/** EmergencyOffline takes a service offline with two presses by one person; the review is ratified later by another. */
export function EmergencyOffline(p: { cause: Cause; serviceId: string; serviceName: string; then?: () => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [open, setOpen] = useState(false)
  const { send, busy, error } = useSend()
  return (
    <>
      <Button danger type="primary" icon={<PoweroffOutlined />} aria-haspopup="dialog" onClick={() => setOpen(true)}>{t('order.emergency')}</Button>
      <Modal
        open={open}
        onCancel={() => setOpen(false)}
        title={t('order.emergency_of', { name: p.serviceName })}
        okText={t('order.emergency_now')}
        okButtonProps={{ danger: true, autoFocus: true }}
        cancelText={t('common.cancel')}
        confirmLoading={busy}
        onOk={async () => {
          const r = await send((header) => client.POST('/api/v1/orders', { body: { ...p.cause, service_id: p.serviceId, rung: 'service_offline', reason: t('order.emergency_reason') }, params: { header } }))
          if (!r.ok) return
          message.success(t('order.issued'))
          setOpen(false)
          p.then?.()
        }}
      >
        {error ? <Failed error={error} /> : null}
        <p>{t('order.emergency_what')}</p>
      </Modal>
    </>
  )
}
