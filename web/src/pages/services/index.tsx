import { Alert, Button, Card, Form, Input, Select } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { useNavigate, useParams } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { Page } from '../../parts/page'
import { stamp, When } from '../../parts/when'
import { KindTag, useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { HowTo } from './howto'
import { ServicePanel } from './panel'

/** Whose services are watched over, and what stands behind each. */
export default function Services() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const go = useNavigate()
  const { id } = useParams()
  const [howTo, setHowTo] = useState(false)
  const services = api.useQuery('get', '/api/v1/services')
  const operators = api.useQuery('get', '/api/v1/operators')
  const operator = (of: string) => operators.data?.find((o) => o.id === of)?.name ?? of
  const must = (label: string) => [{ required: true, whitespace: true, message: t('common.required', { name: label }) }]
  return (
    <Page
      title={t('menu.services')}
      lead={t('services.lead')}
      extra={
        <>
          <Button onClick={() => setHowTo(!howTo)} aria-expanded={howTo}>{t('services.howto')}</Button>
          {may('service.manage') && (
            <ActForm<{ operator_id: string; name: string; model_name: string; filing_no?: string }>
              label={t('services.add')}
              draft="service.add"
              button={{ type: 'primary' }}
              initial={operators.data?.length === 1 ? { operator_id: operators.data[0].id } : {}}
              fields={
                <>
                  {operators.data?.length === 0 && <Alert type="warning" showIcon title={t('services.operator_first')} />}
                  <Form.Item name="operator_id" label={t('services.operator')} rules={must(t('services.operator'))}><Select options={operators.data?.map((o) => ({ value: o.id, label: o.name }))} showSearch={{ optionFilterProp: 'label' }} /></Form.Item>
                  <Form.Item name="name" label={t('services.name')} rules={must(t('services.name'))}><Input maxLength={200} /></Form.Item>
                  <Form.Item name="model_name" label={t('services.model_name')} extra={t('services.model_name_what')} rules={must(t('services.model_name'))}><Input maxLength={100} className="mono" /></Form.Item>
                  <Form.Item name="filing_no" label={t('services.filing_no')}><Input maxLength={100} /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/services', { params: { header }, body: v })}
              then={(added: Schema<'ServiceAdded'>) => {
                void services.refetch()
                void go(`/services/${added.service.id}`)
              }}
            />
          )}
        </>
      }
    >
      {howTo && <Card size="small" title={<h2>{t('services.howto')}</h2>}><HowTo model={services.data?.[0]?.model_name ?? 'MODEL'} /></Card>}
      <List<Schema<'Service'>>
        name={t('menu.services')}
        rows={services.data}
        error={services.error ?? undefined}
        loading={services.isLoading}
        reload={() => void services.refetch()}
        rowKey={(r) => r.id}
        open={(r) => void go(`/services/${r.id}${location.search}`)}
        empty={t('services.empty')}
        filters={[
          { key: 'kind', title: t('services.kind'), options: options('kind'), of: (r) => r.kind },
          { key: 'operator', title: t('services.operator'), options: (operators.data ?? []).map((o) => ({ value: o.id, label: o.name })), of: (r) => r.operator_id },
        ]}
        columns={[
          { key: 'name', title: t('services.name'), sort: true, text: (r) => r.name, show: (r) => <>{r.name} <KindTag kind={r.kind} /></> },
          { key: 'model', title: t('services.model_name'), text: (r) => r.model_name, show: (r) => <span className="mono">{r.model_name}</span> },
          { key: 'operator', title: t('services.operator'), text: (r) => operator(r.operator_id) },
          { key: 'filing', title: t('services.filing_no'), text: (r) => r.filing_no || t('services.no_filing'), wide: true },
          { key: 'kind', title: t('services.kind'), text: (r) => word('kind', r.kind), wide: true },
          { key: 'created', title: t('services.created'), sort: true, text: (r) => stamp(r.created_ms), show: (r) => <When ms={r.created_ms} />, wide: true },
        ]}
      />
      <h2>{t('services.operators')}</h2>
      <List<Schema<'ServiceOperator'>>
        name={t('services.operators')}
        inAddress={false}
        rows={operators.data}
        error={operators.error ?? undefined}
        loading={operators.isLoading}
        rowKey={(r) => r.id}
        empty={t('services.operators_empty')}
        filters={[{ key: 'kind', title: t('services.operator_kind'), options: options('reporter'), of: (r) => r.kind }]}
        actions={
          may('service.manage') && (
            <ActForm<{ name: string; province: string; kind: 'cii' | 'central_organ' | 'other' }>
              label={t('services.operator_add')}
              draft="operator.add"
              initial={{ kind: 'other' }}
              fields={
                <>
                  <Form.Item name="name" label={t('services.operator_name')} rules={must(t('services.operator_name'))}><Input maxLength={200} /></Form.Item>
                  <Form.Item name="province" label={t('services.province')} extra={t('services.province_what')} rules={must(t('services.province'))}><Input maxLength={50} /></Form.Item>
                  <Form.Item name="kind" label={t('services.operator_kind')} extra={t('services.operator_kind_what')} rules={must(t('services.operator_kind'))}><Select options={options('reporter')} /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/operators', { params: { header }, body: v })}
              then={() => void operators.refetch()}
            />
          )
        }
        columns={[
          { key: 'name', title: t('services.operator_name'), sort: true, text: (r) => r.name },
          { key: 'province', title: t('services.province'), text: (r) => r.province },
          { key: 'kind', title: t('services.operator_kind'), text: (r) => word('reporter', r.kind) },
          { key: 'created', title: t('services.created'), text: (r) => stamp(r.created_ms), show: (r) => <When ms={r.created_ms} />, wide: true },
        ]}
      />
      {id && <ServicePanel key={id} id={id} operator={operator} close={() => void go(`/services${location.search}`)} />}
    </Page>
  )
}
