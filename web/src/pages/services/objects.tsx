import { Form, Input, Select, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { usePersonName } from '../../parts/names'
import { When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { serverNow } from '../../shell/link'
import { useMay } from '../../shell/session'
import { fromBeijing, importanceOf } from './importance'

/** Objects are what an incident of the service would harm: how important each is, on what ground, and what was said before. */
export function Objects({ serviceId }: { serviceId: string }) {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const q = api.useQuery('get', '/api/v1/services/{id}/objects', { params: { path: { id: serviceId } } })
  const said = api.useQuery('get', '/api/v1/services/{id}/importance', { params: { path: { id: serviceId } } })
  const now = serverNow()
  const of = (o: Schema<'ServiceAffectedObject'>) => importanceOf(said.data ?? [], o.id, now)
  const must = (label: string) => [{ required: true, whitespace: true, message: t('common.required', { name: label }) }]
  return (
    <>
      <h2>{t('services.objects')}</h2>
      <List<Schema<'ServiceAffectedObject'>>
        name={t('services.objects')}
        inAddress={false}
        rows={q.data}
        error={q.error ?? said.error ?? undefined}
        loading={q.isLoading}
        rowKey={(r) => r.id}
        empty={t('services.objects_empty')}
        filters={[
          { key: 'kind', title: t('services.object_kind'), options: options('affected.kind'), of: (r) => r.kind },
          { key: 'importance', title: t('services.importance'), options: [...options('importance.level'), { value: 'none', label: t('services.importance_none') }], of: (r) => of(r).inForce?.level ?? 'none' },
        ]}
        actions={
          may('service.manage') && (
            <ActForm<{ kind: 'service' | 'dataset' | 'model' | 'system'; name: string }>
              label={t('services.object_add')}
              draft={`service.${serviceId}.object`}
              fields={
                <>
                  <Form.Item name="kind" label={t('services.object_kind')} rules={must(t('services.object_kind'))}><Select options={options('affected.kind')} /></Form.Item>
                  <Form.Item name="name" label={t('services.object_name')} rules={must(t('services.object_name'))}><Input maxLength={200} /></Form.Item>
                </>
              }
              call={(v, header) => client.POST('/api/v1/services/{id}/objects', { params: { path: { id: serviceId }, header }, body: v })}
              then={() => void q.refetch()}
            />
          )
        }
        columns={[
          { key: 'name', title: t('services.object_name'), text: (r) => r.name },
          { key: 'kind', title: t('services.object_kind'), text: (r) => word('affected.kind', r.kind), wide: true },
          { key: 'importance', title: t('services.importance'), text: (r) => word('importance.level', of(r).inForce?.level ?? ''), show: (r) => <Level level={of(r).inForce?.level} /> },
          { key: 'ground', title: t('services.ground'), text: (r) => of(r).inForce?.ground ?? '', show: (r) => <><History of={of(r)} />{may('service.manage') && <SetImportance object={r} now={of(r).inForce?.level} then={() => void said.refetch()} />}</> },
        ]}
      />
    </>
  )
}

function SetImportance(p: { object: Schema<'ServiceAffectedObject'>; now: string | undefined; then: () => void }) {
  const { t } = useTranslation()
  const { options } = useWords()
  const must = (label: string) => [{ required: true, whitespace: true, message: t('common.required', { name: label }) }]
  return (
    <ActForm<{ level: Schema<'ImportanceBodyBody'>['level']; ground: string; from?: string }>
      label={t('services.importance_set')}
      title={t('services.importance_of', { name: p.object.name })}
      button={{ size: 'small' }}
      draft={`object.${p.object.id}.importance`}
      initial={{ level: p.now as undefined }}
      fields={
        <>
          <Form.Item name="level" label={t('services.importance')} rules={must(t('services.importance'))}><Select options={options('importance.level')} /></Form.Item>
          <Form.Item name="ground" label={t('services.ground')} extra={t('services.ground_what')} rules={must(t('services.ground'))}><Input.TextArea rows={3} maxLength={1000} /></Form.Item>
          <Form.Item name="from" label={t('services.from')} extra={t('services.from_what')}><Input type="datetime-local" /></Form.Item>
        </>
      }
      call={({ from, ...v }, header) => client.POST('/api/v1/objects/{id}/importance', { params: { path: { id: p.object.id }, header }, body: { ...v, ...(from ? { from_ms: fromBeijing(from) } : {}) } })}
      then={p.then}
    />
  )
}

const signs = ['◆◆◆', '◆◆', '◆'] // in the order in which the reference lists the levels, the gravest first

function Level({ level }: { level: string | undefined }) {
  const { t } = useTranslation()
  const { word, options } = useWords()
  if (!level) return <Tag variant="outlined">⚠ {t('services.importance_none')}</Tag>
  const at = options('importance.level').findIndex((o: { value: string }) => o.value === level)
  return <Tag variant="outlined" className="nowrap"><span aria-hidden>{signs[at] ?? ''} </span>{word('importance.level', level)}</Tag>
}

function History({ of }: { of: ReturnType<typeof importanceOf> }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const person = usePersonName()
  if (!of.history.length) return <>{t('services.importance_needed')}</>
  return (
    <>
      {of.inForce && <div>{of.inForce.ground} · {t('services.since')} <When ms={of.inForce.from_ms} /></div>}
      {of.ahead.map((s) => <div key={s.id}>→ {t('services.from')} <When ms={s.from_ms} />: {word('importance.level', s.level)} · {s.ground}</div>)}
      <details>
        <summary>{t('services.history', { n: of.history.length })}</summary>
        <ol className="rows">
          {of.history.map((s) => <li key={s.id}><When ms={s.from_ms} /> <strong>{word('importance.level', s.level)}</strong> <span>{s.ground}</span> <span>{person(s.set_by)}</span></li>)}
        </ol>
      </details>
    </>
  )
}
