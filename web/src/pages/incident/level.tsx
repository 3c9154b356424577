import { Alert, Form, Input, InputNumber, Select, Tag } from 'antd'
import { api, client, type Schema } from '../../api/client'
import { LevelTag, useWords, Word } from '../../parts/word'
import { When } from '../../parts/when'
import { useMe } from '../../shell/session'
import { language, useTranslation } from '../../shell/language'
import { useHere, useWho } from './dossier'
import { Count, Pick, Words } from './fields'
import { Ask, Nothing, Panel, Part } from './parts'

type Term = { id: string; zh: string; en: string }
type Grading = {
  cell: string
  clause: string
  verified: boolean
  reason: { zh?: string; en?: string }
  from_loss: { working_level: number; level: number | null; row: Term; column: Term } | null
  from_harm: { working_level: number; level: number | null; row: Term; column: Term } | null
  neighbours: { factor: string; to: Term; level: number | null; working_level: number }[]
}
const read = <T,>(json: string): T | undefined => {
  try {
    return JSON.parse(json) as T
  } catch {
    return undefined
  }
}

/** Level is how grave it is and why, on both scales, what it is, and the facts on which duties depend. */
export function Level() {
  const { t } = useTranslation()
  const { d } = useHere()
  return (
    <Panel id="level" title={t('incident.level')} extra={<Assess />}>
      {d.assessments.length === 0 ? <Nothing text={t('incident.no_level')} /> : <Standing />}
      <Part title={t('incident.categories')} extra={<Categorise />}>
        {d.categories.length === 0 && <Nothing text={t('incident.no_category')} />}
        {d.categories.map((c) => (
          <p key={c.id} className="row">
            <Tag variant="outlined">{<Word group="rank" id={c.rank} />}</Tag>
            <Word group="guide_type" id={c.guide_type} /> · <Word group="gb_category" id={c.gb_category} />
            {c.risk && <> · {c.risk} <Word group="risk" id={c.risk} /></>} · <Word group="part" id={c.part} />
          </p>
        ))}
      </Part>
      <Part title={t('incident.cac')} extra={<GradeCAC />}>
        <CAC />
      </Part>
      <Part title={t('incident.facts')} extra={<StateFact />}>
        {d.facts.length === 0 && <Nothing text={t('incident.no_facts')} />}
        {d.facts.map((f) => (
          <p key={f.name} className="row">
            <Word group="fact" id={f.name} />：<strong>{f.name === 'occurrences' || f.name === 'users' ? f.value : t(f.value ? 'common.yes' : 'common.no')}</strong>
          </p>
        ))}
      </Part>
    </Panel>
  )
}

function Standing() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const { d } = useHere()
  const latest = new Map<string, Schema<'IncidentAssessment'>>()
  for (const a of d.assessments) if (latest.get(a.object_id)?.source !== 'authority' || a.source === 'authority') latest.set(a.object_id, a)
  return (
    <>
      {[...latest.values()].map((a) => {
        const g = read<Grading>(a.grading)
        const object = d.objects.find((o) => o.id === a.object_id)
        return (
          <div key={a.id} className="graded">
            {d.objects.length > 1 && <strong>{object?.name}</strong>}
            <p className="row">
              <LevelTag level={a.final_level ?? a.working_level} working={a.final_level === null} />
              <Tag variant="outlined">{word('stage', a.stage)}</Tag>
              <Tag variant="outlined">{word('source', a.source)}</Tag>
              {g && !g.verified && <Tag color="gold" variant="outlined">△ {t('incident.unverified')}</Tag>}
            </p>
            <p className="row">
              {t('incident.factors', { importance: word('importance', a.importance) })}
              {a.social_harm && <> · {word('factor', 'social_harm')}：{word('social_harm', a.social_harm)}</>}
              {a.business_loss && <> · {word('factor', 'business_loss')}：{word('business_loss', a.business_loss)}</>}
            </p>
            {g?.clause && <p className="row secondary">{t('incident.clause', { clause: g.clause.replace('Table ', t('incident.table')) })}</p>}
            {g?.reason?.[language()] && <p className="row secondary">{g.reason[language()]}</p>}
            {g && g.neighbours?.length > 0 && (
              <details>
                <summary>{t('incident.would_change')}</summary>
                <ul className="bare">
                  {g.neighbours.map((n) => (
                    <li key={n.factor + n.to.id}>
                      {t('incident.if_were', { factor: word('factor', n.factor), value: n.to[language()] })} <LevelTag level={n.level ?? n.working_level} working={n.level === null} />
                    </li>
                  ))}
                </ul>
              </details>
            )}
            <p className="row secondary">
              {who(a.assessed_by)} <When ms={a.at_ms} /> {a.second_by && t('incident.with_second', { name: who(a.second_by) })} {a.reason}
            </p>
          </div>
        )
      })}
      {d.assessments.length > latest.size && (
        <details>
          <summary>{t('incident.earlier', { n: d.assessments.length - latest.size })}</summary>
          <ul className="bare">
            {d.assessments.map((a) => (
              <li key={a.id}>
                <LevelTag level={a.final_level ?? a.working_level} working={a.final_level === null} /> {word('stage', a.stage)} · {who(a.assessed_by)} · <When ms={a.at_ms} /> {a.reason}
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}

type AssessForm = { object_id?: string; stage: 'preliminary' | 'confirmed' | 'final'; source: 'self' | 'expert' | 'authority'; what_lost?: string; who_harmed?: string; how_far?: string; users?: number; importance?: string; social_harm?: string; business_loss?: string; decided?: number; reason?: string }

/** Assess asks for facts first, then factors; the level follows from the tables and is never typed in. */
function Assess() {
  const { t } = useTranslation()
  const me = useMe()
  const { options } = useWords()
  const { d, id } = useHere()
  const last = d.assessments.findLast((a) => a.assessed_by !== 'system')
  const confirming = last?.stage === 'preliminary' && last.assessed_by !== me.id
  return (
    <Ask<AssessForm>
      as="assess"
      needs="incident.grade"
      wide
      label={t(confirming ? 'incident.confirm_level' : 'incident.assess')}
      button={{ type: d.level.working === 0 || confirming ? 'primary' : 'default', title: 'l' }}
      initial={{
        object_id: d.objects.length === 1 ? d.objects[0].id : undefined,
        stage: confirming ? 'confirmed' : 'preliminary',
        importance: last?.importance || undefined, // what was judged before is confirmed, not what is registered
        source: 'self',
        social_harm: last?.social_harm || undefined,
        business_loss: last?.business_loss || undefined,
      }}
      call={(v, headers) =>
        client.POST('/api/v1/incidents/{id}/assessments', {
          params: { path: { id } },
          headers,
          body: {
            object_id: v.object_id,
            stage: v.stage,
            source: v.source,
            facts: Object.fromEntries(Object.entries({ what_lost: v.what_lost, who_harmed: v.who_harmed, how_far: v.how_far, users: v.users }).filter(([, x]) => x !== undefined && x !== '' && x !== null)),
            importance: v.importance || undefined,
            social_harm: v.social_harm || undefined,
            business_loss: v.business_loss || undefined,
            decided: v.decided || undefined,
            reason: v.reason,
          },
        })
      }
      fields={
        <>
          {last?.stage === 'preliminary' && last.assessed_by === me.id && <Alert type="info" showIcon title={t('incident.confirm_other')} />}
          {d.level.working > 0 && <Alert type="warning" showIcon title={t('incident.lowering')} />}
          {d.objects.length > 1 && (
            <Form.Item name="object_id" label={t('incident.object')} rules={[{ required: true, message: t('common.required', { name: t('incident.object') }) }]}>
              <Select options={d.objects.map((o) => ({ value: o.id, label: o.name }))} />
            </Form.Item>
          )}
          <fieldset>
            <legend>{t('incident.step_facts')}</legend>
            <Words name="what_lost" label={t('incident.what_lost')} required={false} rows={1} />
            <Words name="who_harmed" label={t('incident.who_harmed')} required={false} rows={1} />
            <Words name="how_far" label={t('incident.how_far')} required={false} rows={1} />
            <Count name="users" label={t('incident.how_many')} />
          </fieldset>
          <fieldset>
            <legend>{t('incident.step_factors')}</legend>
            <Pick name="social_harm" label={t('incident.social_harm')} group="social_harm" required={false} />
            <Pick name="business_loss" label={t('incident.business_loss')} group="business_loss" required={false} />
            <Pick name="importance" label={t('incident.importance')} group="importance" required={false} hint={t('incident.importance_hint')} />
          </fieldset>
          <fieldset>
            <legend>{t('incident.step_stage')}</legend>
            <Pick name="stage" label={t('incident.stage')} group="stage" />
            <Pick name="source" label={t('incident.source')} group="source" />
            <Form.Item noStyle shouldUpdate={(a: AssessForm, b: AssessForm) => a.source !== b.source}>
              {({ getFieldValue }) =>
                getFieldValue('source') !== 'self' && (
                  <Form.Item name="decided" label={t('incident.decided')} extra={t('incident.decided_hint')}>
                    <Select allowClear options={options('level').map((o) => ({ ...o, value: Number(o.value) }))} />
                  </Form.Item>
                )
              }
            </Form.Item>
            <Words name="reason" label={t('incident.assess_reason')} required={false} />
          </fieldset>
        </>
      }
    />
  )
}

function Categorise() {
  const { t } = useTranslation()
  const { d, id } = useHere()
  const { word, options } = useWords()
  const proposed = d.anomalies.find((a) => a.category)
  const none = !d.categories.some((c) => c.rank === 'primary')
  return (
    <Ask<{ guide_type: string; risk?: string; rank: 'primary' | 'secondary'; part: 'cause' | 'manifestation' | 'consequence' }>
      as="categorise"
      needs="incident.grade"
      label={t('incident.categorise')}
      button={{ type: none ? 'primary' : 'default' }}
      initial={{ guide_type: none ? proposed?.category : undefined, risk: none ? proposed?.risk || undefined : undefined, rank: none ? 'primary' : 'secondary', part: 'manifestation' }}
      call={(body, headers) => client.POST('/api/v1/incidents/{id}/categories', { params: { path: { id } }, headers, body })}
      fields={
        <>
          {none && proposed && <Alert type="info" showIcon title={t('incident.proposed', { category: word('guide_type', proposed.category) })} />}
          <Pick name="guide_type" label={t('incident.guide_type')} group="guide_type" />
          <Form.Item name="risk" label={t('incident.risk')}>
            <Select allowClear showSearch={{ optionFilterProp: 'label' }} options={options('risk').map((o) => ({ ...o, label: `${o.value} ${o.label}` }))} />
          </Form.Item>
          <Pick name="rank" label={t('incident.rank')} group="rank" />
          <Pick name="part" label={t('incident.part')} group="part" />
        </>
      }
    />
  )
}

function StateFact() {
  const { t } = useTranslation()
  const { d, id } = useHere()
  const next = ['personal_information', 'endangering_flaw', 'crime_suspected'].find((n) => !d.facts.some((f) => f.name === n))
  return (
    <Ask<{ name: string; value: number; reason?: string }>
      as="fact"
      needs="incident.grade"
      label={t('incident.state_fact')}
      initial={{ name: next ?? 'users' }}
      call={(v, headers) => client.POST('/api/v1/incidents/{id}/facts', { params: { path: { id } }, headers, body: { name: v.name, value: Number(v.value), reason: v.reason } })}
      fields={
        <>
          <Pick name="name" label={t('incident.fact_name')} group="fact" />
          <Form.Item noStyle shouldUpdate={(a: { name: string }, b: { name: string }) => a.name !== b.name}>
            {({ getFieldValue }) =>
              ['occurrences', 'users'].includes(getFieldValue('name') as string) ? (
                <Count name="value" label={t('incident.fact_number')} />
              ) : (
                <Form.Item name="value" label={t('incident.fact_value')} rules={[{ required: true, message: t('common.required', { name: t('incident.fact_value') }) }]}>
                  <Select options={[{ value: 1, label: t('common.yes') }, { value: 0, label: t('common.no') }]} />
                </Form.Item>
              )
            }
          </Form.Item>
          <Words name="reason" label={t('incident.loosen_reason')} required={false} />
        </>
      }
    />
  )
}

function CAC() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const { d } = useHere()
  const last = d.cac_grades.at(-1)
  if (!last) return <Nothing text={t('incident.no_cac')} />
  const g = read<{ deciding: { indicator: string; value?: number; at_least?: number; scope?: string; cite: { clause: string } }[]; reportable: boolean }>(last.grading)
  return (
    <>
      <p className="row">
        <Tag variant="outlined">{word('cac_grade', last.grade)}</Tag>
        {!last.verified && <Tag color="gold" variant="outlined">△ {t('incident.unverified')}</Tag>}
        {g?.reportable && <Tag color="red" variant="outlined">‼ {t('incident.reportable')}</Tag>}
      </p>
      {g?.deciding.map((x) => (
        <p key={x.indicator} className="row secondary">
          {word('cac_indicator', x.indicator)}：{x.value} ≥ {x.at_least} {x.scope && word('cac_scope', x.scope)}
        </p>
      ))}
      <p className="row secondary">{who(last.assessed_by)} <When ms={last.at_ms} /></p>
    </>
  )
}

type CACForm = { indicator: string; value?: number; judged?: string; scope?: string; reason?: string }

function GradeCAC() {
  const { t } = useTranslation()
  const { options, word } = useWords()
  const { d, id } = useHere()
  const { data } = api.useQuery('get', '/api/v1/reference', {}, { staleTime: Infinity, gcTime: Infinity })
  const indicator = (name: string) => data?.indicators.find((i) => i.id === name)
  const before = read<Schema<'StandardQuantity'>[]>(d.cac_grades.at(-1)?.quantities ?? '[]') ?? []
  return (
    <Ask<CACForm>
      as="cac"
      needs="incident.grade"
      label={t('incident.grade_cac')}
      call={(v, headers) => {
        const q = { indicator: v.indicator, value: v.value, judged: v.judged, scope: v.scope }
        return client.POST('/api/v1/incidents/{id}/cac-grade', { params: { path: { id } }, headers, body: { quantities: [...before.filter((b) => b.indicator !== q.indicator || b.scope !== q.scope), q], reason: v.reason } })
      }}
      fields={
        <>
          {before.length > 0 && <Alert type="info" title={t('incident.cac_known')} description={before.map((b) => `${word('cac_indicator', b.indicator)} ${b.value ?? word('cac_grade', b.judged ?? '')}`).join('；')} />}
          <Form.Item name="indicator" label={t('incident.indicator')} rules={[{ required: true, message: t('common.required', { name: t('incident.indicator') }) }]}>
            <Select showSearch={{ optionFilterProp: 'label' }} options={options('cac_indicator')} />
          </Form.Item>
          <Form.Item noStyle shouldUpdate={(a: CACForm, b: CACForm) => a.indicator !== b.indicator}>
            {({ getFieldValue }) => {
              const i = indicator(getFieldValue('indicator') as string)
              const scopes = [...new Set(i?.cells.flatMap((c) => c.scope ?? []) ?? [])]
              return (
                <>
                  {i?.kind === 'judged' ? (
                    <Pick name="judged" label={t('incident.judged')} group="cac_grade" />
                  ) : (
                    <Form.Item name="value" label={t('incident.quantity')} extra={i && t(`incident.unit_${i.unit}` as 'incident.unit_count')} rules={[{ required: true, message: t('common.required', { name: t('incident.quantity') }) }]}>
                      <InputNumber min={0} precision={0} className="wide" />
                    </Form.Item>
                  )}
                  {scopes.length > 0 && (
                    <Form.Item name="scope" label={t('incident.scope')}>
                      <Select options={scopes.map((s) => ({ value: s, label: word('cac_scope', s) }))} />
                    </Form.Item>
                  )}
                </>
              )
            }}
          </Form.Item>
          <Form.Item name="reason" label={t('incident.loosen_reason')}><Input.TextArea maxLength={2000} /></Form.Item>
        </>
      }
    />
  )
}

