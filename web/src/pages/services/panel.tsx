import { Alert, Button, Checkbox, Descriptions, Drawer, Form, Input, Modal, Select, Space, Spin, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { Copy } from '../../parts/copy'
import { Failed } from '../../parts/failed'
import { List, usePhone } from '../../parts/list'
import { stamp, When } from '../../parts/when'
import { KindTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { HowTo } from './howto'
import { Objects } from './objects'
import { Figures } from '../settings/parts'

/** ServicePanel shows one service: what it runs on, what an incident of it would harm, and who may call it. */
export function ServicePanel({ id, operator, close }: { id: string; operator: (id: string) => string; close: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const phone = usePhone()
  const services = api.useQuery('get', '/api/v1/services')
  const orders = api.useQuery('get', '/api/v1/orders', { params: { query: { service_id: id, state: 'in_force' } } }, { enabled: may('order.read') })
  const s = services.data?.find((x) => x.id === id)
  const must = [{ required: true, whitespace: true, message: t('common.required', { name: t('common.reason') }) }]
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 860} title={s ? <>{s.name} <KindTag kind={s.kind} /></> : t('menu.services')} closable={{ 'aria-label': t('common.close') }}>
      {services.error ? <Failed error={services.error} retry={() => void services.refetch()} /> : null}
      {services.isLoading && <Spin />}
      {services.data && !s && <Alert type="warning" showIcon title={t('services.gone')} />}
      {s && (
        <>
          {(orders.data?.total ?? 0) > 0 ? (
            <Alert type="warning" showIcon title={<Link to={`/orders?service_id=${id}&state=in_force`}>{t('services.in_force', { n: orders.data!.total })}</Link>} description={orders.data!.items.map((o) => <div key={o.id}><Link to={`/orders/${o.id}`}>{word('rung', o.rung)}</Link> <KindTag kind={o.kind} /> <When ms={o.issued_ms} /></div>)} />
          ) : (
            may('order.read') && orders.data && <p>✓ {t('services.none_in_force')} <Link to={`/orders?service_id=${id}`}>{t('services.orders')}</Link></p>
          )}
          <Descriptions
            size="small"
            column={phone ? 1 : 2}
            items={[
              { key: 'operator', label: t('services.operator'), children: operator(s.operator_id) },
              { key: 'model', label: t('services.model_name'), children: <span className="mono">{s.model_name}</span> },
              { key: 'filing', label: t('services.filing_no'), children: s.filing_no || <>⚠ {t('services.no_filing')}</> },
              { key: 'created', label: t('services.created'), children: <When ms={s.created_ms} /> },
            ]}
          />
          {may('service.manage') && (
            <Space wrap className="panel-acts">
              <ActForm<{ reason: string }>
                label={t('services.compile')}
                title={t('services.compile_what')}
                draft={`service.${id}.posture`}
                fields={<Form.Item name="reason" label={t('common.reason')} rules={must}><Input.TextArea rows={3} maxLength={500} /></Form.Item>}
                call={(v, header) => client.POST('/api/v1/services/{id}/posture', { params: { path: { id }, header }, body: v })}
                done={t('services.compiled')}
              />
            </Space>
          )}
          <Deployments service={s} />
          <Objects serviceId={id} />
          <Keys service={s} />
          {may('status.read') && <><h2>{t('services.judging')}</h2><p>{t('services.judging_what')}</p><Figures serviceId={id} /></>}
          <h2>{t('services.howto')}</h2>
          <HowTo model={s.model_name} />
        </>
      )}
    </Drawer>
  )
}

type Deployed = { name: string; model_version: string; system_prompt_version?: string; route?: string; upstream_url: string; upstream_model: string; secret_ref?: string; role: 'primary' | 'backup'; filed?: boolean }

function Deployments({ service }: { service: Schema<'Service'> }) {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const q = api.useQuery('get', '/api/v1/services/{id}/deployments', { params: { path: { id: service.id } } })
  const must = (label: string) => [{ required: true, whitespace: true, message: t('common.required', { name: label }) }]
  const field = (name: keyof Deployed, label: string, required: boolean, extra?: string, max = 100) => (
    <Form.Item name={name} label={label} extra={extra} rules={required ? must(label) : []}><Input maxLength={max} /></Form.Item>
  )
  const drill = service.kind === 'drill'
  return (
    <>
      <h2>{t('services.deployments')}</h2>
      <List<Schema<'ServiceDeployment'>>
        name={t('services.deployments')}
        inAddress={false}
        rows={q.data}
        error={q.error ?? undefined}
        loading={q.isLoading}
        rowKey={(r) => r.id}
        empty={t('services.deployments_empty')}
        filters={[
          { key: 'role', title: t('services.role'), options: options('deployment.role'), of: (r) => r.role },
          { key: 'filed', title: t('services.filed'), options: [{ value: 'yes', label: t('services.filed') }, { value: 'no', label: t('services.not_filed') }], of: (r) => (r.filed ? 'yes' : 'no') },
        ]}
        actions={
          may('service.manage') && (
            <>
              <ActForm<Deployed>
                label={t('services.deployment_add')}
                draft={`service.${service.id}.deployment`}
                initial={{ role: 'primary' }}
                fields={
                  <>
                    {field('name', t('services.deployment_name'), true)}
                    <Form.Item name="role" label={t('services.role')} extra={t('services.role_what')} rules={must(t('services.role'))}><Select options={options('deployment.role')} /></Form.Item>
                    {field('model_version', t('services.model_version'), true)}
                    {field('system_prompt_version', t('services.prompt_version'), false)}
                    {field('route', t('services.route'), false, t('services.route_what'))}
                    {field('upstream_url', t('services.upstream_url'), true, t('services.upstream_url_what'), 500)}
                    {field('upstream_model', t('services.upstream_model'), true)}
                    {field('secret_ref', t('services.secret_ref'), false, t('services.secret_ref_what'))}
                    <Form.Item name="filed" valuePropName="checked"><Checkbox>{t('services.filed_what')}</Checkbox></Form.Item>
                  </>
                }
                call={(v, header) => client.POST('/api/v1/services/{id}/deployments', { params: { path: { id: service.id }, header }, body: v })}
                then={() => void q.refetch()}
              />
              {!drill && <Secret />}
            </>
          )
        }
        columns={[
          { key: 'name', title: t('services.deployment_name'), text: (r) => r.name },
          { key: 'role', title: t('services.role'), text: (r) => word('deployment.role', r.role) },
          { key: 'version', title: t('services.model_version'), text: (r) => [r.model_version, r.system_prompt_version].filter(Boolean).join(' · '), wide: true },
          { key: 'upstream', title: t('services.upstream_url'), text: (r) => r.upstream_url, show: (r) => <span className="mono">{r.upstream_url} · {r.upstream_model}{r.route !== 'default' && ` · ${r.route}`}</span> },
          { key: 'secret', title: t('services.secret_ref'), text: (r) => r.secret_ref || t('common.none'), wide: true },
          { key: 'filed', title: t('services.filed'), text: (r) => (r.filed ? `✓ ${t('services.filed')}` : `✗ ${t('services.not_filed')}`) },
          { key: 'tested', title: t('services.tested'), text: (r) => (r.tested_ms ? stamp(r.tested_ms) : `✗ ${t('services.not_tested')}`), show: (r) => (r.tested_ms ? <>✓ <When ms={r.tested_ms} /></> : <>✗ {t('services.not_tested')}</>) },
        ]}
      />
    </>
  )
}

function Secret() {
  const { t } = useTranslation()
  const must = (label: string) => [{ required: true, whitespace: true, message: t('common.required', { name: label }) }]
  return (
    <ActForm<{ name: string; origin: string; value: string }>
      label={t('services.secret')}
      draft="" // a key is kept nowhere, not even in this tab
      fields={
        <>
          <Alert type="info" showIcon title={t('services.secret_what')} />
          <Form.Item name="name" label={t('services.secret_name')} extra={t('services.secret_name_what')} rules={must(t('services.secret_name'))}><Input maxLength={100} className="mono" /></Form.Item>
          <Form.Item name="origin" label={t('services.origin')} extra={t('services.origin_what')} rules={must(t('services.origin'))}><Input maxLength={300} className="mono" /></Form.Item>
          <Form.Item name="value" label={t('services.secret_value')} rules={must(t('services.secret_value'))}><Input.Password maxLength={4000} autoComplete="off" /></Form.Item>
        </>
      }
      call={(v, header) => client.POST('/api/v1/secrets', { params: { header }, body: v })}
      done={t('services.secret_kept')}
    />
  )
}

function Keys({ service }: { service: Schema<'Service'> }) {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const [issued, setIssued] = useState<Schema<'KeyIssued'>>()
  const q = api.useQuery('get', '/api/v1/services/{id}/keys', { params: { path: { id: service.id } } })
  const must = (label: string) => [{ required: true, whitespace: true, message: t('common.required', { name: label }) }]
  const drill = service.kind === 'drill'
  return (
    <>
      <h2>{t('services.keys')}</h2>
      <List<Schema<'ServiceGatewayKey'>>
        name={t('services.keys')}
        inAddress={false}
        rows={q.data}
        error={q.error ?? undefined}
        loading={q.isLoading}
        rowKey={(r) => r.id}
        empty={t('services.keys_empty')}
        filters={[{ key: 'state', title: t('services.key_state'), options: [{ value: 'good', label: t('services.key_good') }, { value: 'revoked', label: t('services.key_revoked') }], of: (r) => (r.revoked_ms ? 'revoked' : 'good') }]}
        actions={
          may('service.manage') && (
            <ActForm<{ tenant: string; user_group: string; traffic_kind: 'real' | 'drill' | 'test'; label?: string; simulated?: boolean }>
              label={t('services.key_issue')}
              draft={`service.${service.id}.key`}
              initial={{ traffic_kind: drill ? 'drill' : 'real', tenant: 'default', user_group: 'public' }}
              fields={
                <>
                  <Form.Item name="label" label={t('services.key_label')} extra={t('services.key_label_what')}><Input maxLength={100} /></Form.Item>
                  <Form.Item name="tenant" label={t('services.tenant')} rules={must(t('services.tenant'))}><Input maxLength={100} /></Form.Item>
                  <Form.Item name="user_group" label={t('services.user_group')} extra={t('services.user_group_what')} rules={must(t('services.user_group'))}><Input maxLength={100} /></Form.Item>
                  <Form.Item name="traffic_kind" label={t('services.traffic_kind')} extra={t('services.traffic_kind_what')} rules={must(t('services.traffic_kind'))}><Select options={options('kind').filter((o) => (drill ? o.value === 'drill' : o.value !== 'backfill'))} /></Form.Item>
                  <Form.Item name="simulated" valuePropName="checked"><Checkbox>{t('services.simulated_what')}</Checkbox></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/services/{id}/keys', { params: { path: { id: service.id }, header }, body: v })}
              then={(k: Schema<'KeyIssued'>) => {
                setIssued(k)
                void q.refetch()
              }}
            />
          )
        }
        columns={[
          { key: 'label', title: t('services.key_label'), text: (r) => r.label || `…${r.id.slice(-6)}`, show: (r) => <>{r.label || <span className="mono">…{r.id.slice(-6)}</span>}{r.simulated && ' '}{r.simulated && <Tag variant="outlined">{t('services.simulated')}</Tag>}</> },
          { key: 'who', title: t('services.tenant'), text: (r) => `${r.tenant} · ${r.user_group}` },
          { key: 'kind', title: t('services.traffic_kind'), text: (r) => word('kind', r.traffic_kind) },
          { key: 'created', title: t('services.created'), text: (r) => stamp(r.created_ms), show: (r) => <When ms={r.created_ms} />, wide: true },
          { key: 'state', title: t('services.key_state'), text: (r) => (r.revoked_ms ? t('services.key_revoked') : t('services.key_good')), show: (r) => (r.revoked_ms ? <>✗ {t('services.key_revoked')} <When ms={r.revoked_ms} /></> : <>✓ {t('services.key_good')}</>) },
          { key: 'act', title: t('services.act'), text: () => '', show: (r) => !r.revoked_ms && may('service.manage') && <Revoke row={r} then={() => void q.refetch()} /> },
        ]}
      />
      <Modal
        open={issued !== undefined}
        title={t('services.key_once')}
        mask={{ closable: false }}
        keyboard={false}
        closable={false}
        footer={<Button type="primary" onClick={() => setIssued(undefined)}>{t('services.key_taken')}</Button>}
      >
        <Alert type="warning" showIcon title={t('services.key_once_what')} />
        <Copy label={t('services.key')} text={issued?.key ?? ''} />
      </Modal>
    </>
  )
}

function Revoke({ row, then }: { row: Schema<'ServiceGatewayKey'>; then: () => void }) {
  const { t } = useTranslation()
  return (
    <ActForm<object>
      label={t('services.key_revoke')}
      title={t('services.key_revoke_of', { name: row.label || `…${row.id.slice(-6)}` })}
      button={{ size: 'small', danger: true }}
      draft={`key.${row.id}.revoke`}
      fields={<p>{t('services.key_revoke_what')}</p>}
      submit={t('services.key_revoke')}
      call={(_, header) => client.POST('/api/v1/keys/{id}/revoke', { params: { path: { id: row.id }, header } })}
      then={then}
    />
  )
}
