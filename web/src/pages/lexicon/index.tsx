import { Alert, Checkbox, Form, Input, Select, Space, Tag, Typography } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { useServiceName } from '../../parts/names'
import { Page } from '../../parts/page'
import { Countdown, stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { chosenOf, MatchingFields, MatchingFold, matchingOf, useMatching, type Chosen } from './matching'

type Row = Schema<'LexiconEntry'>

/** Keywords in force: published in an emergency for a day, lasting once another person approved them. */
export default function Lexicon() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const service = useServiceName()
  const matching = useMatching()
  const [chosen, setChosen] = useState<string[]>([])
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/lexicon', { params: { query: { limit: 20_000 } } })
  const first = data?.find((r) => r.id === chosen[0])
  const batch = first?.source.startsWith('import:') ? data!.filter((r) => r.source === first.source && r.state === 'live' && !r.approved_by) : []
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  return (
    <Page
      title={t('menu.lexicon')}
      lead={t('lexicon.lead')}
      extra={
        <>
          {may('lexicon.publish') && (
            <ActForm<{ terms: string; risk: string; action: 'observe' | 'mask' | 'replace' | 'block'; topic?: string; secret?: boolean; matching?: Chosen }>
              label={t('lexicon.publish')}
              draft="lexicon.publish"
              button={{ type: 'primary' }}
              initial={{ action: 'block' }}
              fields={
                <>
                  <Alert type="info" showIcon title={t('lexicon.publish_what')} />
                  <Form.Item name="terms" label={t('lexicon.terms')} extra={t('lexicon.terms_what')} rules={must(t('lexicon.terms'))}><Input.TextArea rows={4} /></Form.Item>
                  <Form.Item name="risk" label={t('lexicon.risk')} rules={must(t('lexicon.risk'))}><Select options={options('risk')} showSearch={{ optionFilterProp: 'label' }} /></Form.Item>
                  <Form.Item name="action" label={t('lexicon.action')} rules={must(t('lexicon.action'))}><Select options={options('lexicon.action')} /></Form.Item>
                  <Form.Item name="topic" label={t('lexicon.topic')}><Input maxLength={100} /></Form.Item>
                  <Form.Item name="secret" valuePropName="checked"><Checkbox>{t('lexicon.secret_what')}</Checkbox></Form.Item>
                  <MatchingFold />
                </>
              }
              call={(v, header) =>
                client.POST('/api/v1/lexicon', {
                  params: { header },
                  body: { entries: v.terms.split('\n').map((x) => x.trim()).filter(Boolean).map((term) => ({ term, risk: v.risk, action: v.action, matching: matchingOf(v.matching), ...(v.topic ? { topic: v.topic } : {}), ...(v.secret ? { secret: true } : {}) })) },
                })
              }
              then={() => void refetch()}
            />
          )}
          {may('lexicon.publish') && (
            <ActForm<{ format: 'tsv' | 'json'; text: string }>
              label={t('lexicon.import')}
              draft="lexicon.import"
              initial={{ format: 'tsv' }}
              fields={
                <>
                  <Form.Item name="format" label={t('lexicon.format')}><Select options={[{ value: 'tsv', label: 'TSV' }, { value: 'json', label: 'JSON' }]} /></Form.Item>
                  <Form.Item name="text" label={t('lexicon.text')} extra={t('lexicon.import_what')} rules={must(t('lexicon.text'))}><Input.TextArea rows={8} className="mono" /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/lexicon/import', { params: { header }, body: v })}
              then={() => void refetch()}
            />
          )}
        </>
      }
    >
      <List<Row>
        name={t('menu.lexicon')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        exportTo="/exports/lexicon"
        rowKey={(r) => r.id}
        empty={t('lexicon.empty')}
        choose={may('lexicon.approve') ? { chosen, set: setChosen } : undefined}
        actions={
          <>
          {batch.length > 0 && (
            <ActButton
              title={t('lexicon.approve_source_what')}
              call={(header) => client.POST('/api/v1/lexicon/approve-source', { params: { header }, body: { source: batch[0].source } })}
              then={() => {
                setChosen([])
                void refetch()
              }}
            >
              {t('lexicon.approve_source', { n: batch.length })}
            </ActButton>
          )}
          {chosen.length > 0 && (
            <ActButton
              type="primary"
              call={(header) => client.POST('/api/v1/lexicon/approve', { params: { header }, body: { ids: chosen } })}
              then={() => {
                setChosen([])
                void refetch()
              }}
            >
              {t('lexicon.approve', { n: chosen.length })}
            </ActButton>
          )}
          </>
        }
        filters={[
          { key: 'state', title: t('lexicon.state'), options: options('lexicon.state'), of: (r) => r.state },
          { key: 'risk', title: t('lexicon.risk'), options: options('risk'), of: (r) => r.risk },
          { key: 'action', title: t('lexicon.action'), options: options('lexicon.action'), of: (r) => r.action },
          { key: 'lane', title: t('lexicon.lane'), options: [{ value: 'emergency', label: t('lexicon.unapproved') }, { value: 'approved', label: t('lexicon.approved') }], of: (r) => (r.approved_by ? 'approved' : 'emergency') },
        ]}
        columns={[
          { key: 'term', title: t('lexicon.term'), text: (r) => `${r.term} ${matching(r.matching)}`, show: (r) => <>{r.term} {r.secret && <Tag variant="outlined">🔒 {t('lexicon.secret')}</Tag>}{matching(r.matching) && <div><Typography.Text type="secondary">{matching(r.matching)}</Typography.Text></div>}</> },
          { key: 'risk', title: t('lexicon.risk'), text: (r) => word('risk', r.risk) },
          { key: 'action', title: t('lexicon.action'), text: (r) => word('lexicon.action', r.action) },
          { key: 'topic', title: t('lexicon.topic'), text: (r) => r.topic, wide: true },
          { key: 'service', title: t('lexicon.service'), text: (r) => (r.service_id ? service(r.service_id) : t('lexicon.every')), wide: true },
          { key: 'source', title: t('lexicon.source'), text: (r) => r.source, wide: true },
          { key: 'state', title: t('lexicon.state'), text: (r) => word('lexicon.state', r.state), show: (r) => <>{word('lexicon.state', r.state)}{r.state === 'live' && !r.approved_by && <> · ⚡ {t('lexicon.unapproved')}</>}{r.state === 'live' && r.expires_ms > 0 && <> · <Countdown dueMs={r.expires_ms} /></>}</> },
          { key: 'created', title: t('lexicon.created'), sort: true, text: (r) => stamp(r.created_ms), show: (r) => <When ms={r.created_ms} />, wide: true },
          {
            key: 'act',
            title: t('lexicon.act'),
            text: () => '',
            show: (r) =>
              r.state === 'live' && may('lexicon.publish') && (
                <Space size="small" wrap>
                  <ActForm<{ matching?: Chosen; reason: string }>
                    label={t('lexicon.matching')}
                    title={t('lexicon.change')}
                    button={{ size: 'small' }}
                    draft={`lexicon.${r.id}.matching`}
                    initial={{ matching: chosenOf(r.matching) }}
                    fields={
                      <>
                        <Alert type="info" showIcon title={t('lexicon.change_what')} />
                        <MatchingFields />
                        <Form.Item name="reason" label={t('common.reason')} rules={must(t('common.reason'))}><Input.TextArea rows={2} maxLength={2000} /></Form.Item>
                      </>
                    }
                    call={(v, header) => client.POST('/api/v1/lexicon/{id}/matching', { params: { path: { id: r.id }, header }, body: { matching: matchingOf(v.matching), reason: v.reason } })}
                    done={t('lexicon.change_asked')}
                    then={() => void refetch()}
                  />
                  <ActForm<{ reason: string }>
                    label={t('lexicon.retire')}
                    button={{ size: 'small' }}
                    draft={`lexicon.${r.id}.retire`}
                    fields={<Form.Item name="reason" label={t('common.reason')} rules={must(t('common.reason'))}><Input.TextArea rows={2} maxLength={2000} /></Form.Item>}
                    call={(v, header) => client.POST('/api/v1/lexicon/{id}/retire', { params: { path: { id: r.id }, header }, body: v })}
                    done={t('lexicon.retire_asked')}
                  />
                </Space>
              ),
          },
        ]}
      />
    </Page>
  )
}
