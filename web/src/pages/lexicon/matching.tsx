import { Collapse, Form, InputNumber, Select } from 'antd'
import type { Schema } from '../../api/client'
import { useTranslation } from '../../shell/language'

type Matching = Schema<'InspectMatching'>

const switches = ['word', 'sound', 'spell', 'parts', 'repeat'] as const

/** Chosen is a matching as the fields of a form hold it: what is left out is as usual. */
export type Chosen = { fold?: 'strict' | 'loose'; gap?: number | null } & { [s in (typeof switches)[number]]?: 'on' | 'off' }

export function chosenOf(m: Matching): Chosen {
  const out: Chosen = { fold: m.fold, gap: m.gap }
  for (const s of switches) if (m[s] !== undefined) out[s] = m[s] ? 'on' : 'off'
  return out
}

export function matchingOf(c: Chosen = {}): Matching {
  const out: Matching = {}
  if (c.fold) out.fold = c.fold
  if (typeof c.gap === 'number') out.gap = c.gap
  for (const s of switches) if (c[s]) out[s] = c[s] === 'on'
  return out
}

/** useMatching says in words what of a matching is not as usual; '' if nothing is. */
export function useMatching() {
  const { t } = useTranslation()
  return (m: Matching) =>
    [
      ...(m.fold ? [t(`lexicon.fold_${m.fold}`)] : []),
      ...(m.gap !== undefined ? [t('lexicon.gap_of', { n: m.gap })] : []),
      ...switches.filter((s) => m[s] !== undefined).map((s) => t(m[s] ? 'lexicon.with' : 'lexicon.without', { what: t(`lexicon.${s}`) })),
    ].join(' · ')
}

/** MatchingFields are the fields of a form under the name `matching`. */
export function MatchingFields() {
  const { t } = useTranslation()
  const usual = t('lexicon.usual')
  return (
    <>
      <Form.Item name={['matching', 'fold']} label={t('lexicon.fold')} extra={t('lexicon.fold_what')}>
        <Select allowClear placeholder={usual} options={[{ value: 'strict', label: t('lexicon.fold_strict') }, { value: 'loose', label: t('lexicon.fold_loose') }]} />
      </Form.Item>
      <Form.Item name={['matching', 'gap']} label={t('lexicon.gap')} extra={t('lexicon.gap_what')}><InputNumber min={0} max={8} precision={0} placeholder={usual} style={{ width: '100%' }} /></Form.Item>
      {switches.map((s) => (
        <Form.Item key={s} name={['matching', s]} label={t(`lexicon.${s}`)} extra={t(`lexicon.${s}_what`)}>
          <Select allowClear placeholder={usual} options={[{ value: 'on', label: t('lexicon.on') }, { value: 'off', label: t('lexicon.off') }]} />
        </Form.Item>
      ))}
    </>
  )
}

/** MatchingFold keeps the same fields out of sight until somebody wants them. */
export function MatchingFold() {
  const { t } = useTranslation()
  return <Collapse ghost items={[{ key: 'matching', label: t('lexicon.matching_more'), children: <MatchingFields /> }]} />
}
