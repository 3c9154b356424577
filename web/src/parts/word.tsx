import { Tag } from 'antd'
import { useTranslation } from 'react-i18next'
import { api } from '../api/client'
import { language } from '../shell/language'

/** useWords gives the console the server's own words: word('rung', 'service_offline'), and the values of an enumeration. */
export function useWords() {
  useTranslation() // a switch of language renders anew
  const { data } = api.useQuery('get', '/api/v1/reference', {}, { staleTime: Infinity, gcTime: Infinity })
  const word = (group: string, id: string | number): string => {
    if (id === '') return ''
    return data?.words[`${group}.${id}`]?.[language()] ?? String(id)
  }
  const options = (group: string) => (data?.lists[group] ?? []).map((value: string) => ({ value, label: word(group, value) }))
  return { word, options }
}

/** Word shows one value of an enumeration in the page's language. */
export function Word({ group, id }: { group: string; id: string | number }) {
  const { word } = useWords()
  return <>{word(group, id)}</>
}

// A sign stands beside each colour, so that nobody has to tell colours apart.
const signs: Record<string, { color: string; sign: string }> = {
  1: { color: 'red', sign: '◆◆◆◆' },
  2: { color: 'volcano', sign: '◆◆◆' },
  3: { color: 'gold', sign: '◆◆' },
  4: { color: 'blue', sign: '◆' },
}

/** LevelTag shows a level 1…4 (一级 is the worst); 0 or null means that there is none yet. Working says that it is the working level. */
export function LevelTag({ level, working = false }: { level: number | null | undefined; working?: boolean }) {
  const { t } = useTranslation()
  if (!level) return <Tag variant="outlined">{t('common.ungraded')}</Tag>
  const s = signs[level]
  return (
    <Tag color={s?.color} variant="outlined" className="nowrap">
      <span aria-hidden>{s?.sign} </span>
      {t(`common.level_${level}` as 'common.level_1')}
      {working && t('common.level_working')}
    </Tag>
  )
}

/** KindTag marks what is not real: drill, test, backfill. */
export function KindTag({ kind }: { kind: string }) {
  const { word } = useWords()
  if (!kind || kind === 'real') return null
  return <Tag color="purple" variant="outlined">{`【${word('kind', kind)}】`}</Tag>
}

// How grave an anomaly looks, and how far an order goes: word and sign besides colour.
const severities: Record<string, { color: string; sign: string }> = { critical: { color: 'red', sign: '◆◆◆' }, high: { color: 'orange', sign: '◆◆' }, normal: { color: 'default', sign: '◆' } }
const measures: Record<string, { color: string; sign: string }> = { offline: { color: 'red', sign: '▇' }, restrict: { color: 'orange', sign: '▃' }, adjust: { color: 'default', sign: '▁' } }

/** severitySign is the sign that stands for a severity wherever it shows. */
export const severitySign = (severity: string) => severities[severity]?.sign ?? ''

function Signed({ group, id, marks }: { group: string; id: string; marks: typeof severities }) {
  const { word } = useWords()
  return <Tag color={marks[id]?.color ?? 'default'} variant="outlined" className="nowrap"><span aria-hidden>{marks[id]?.sign} </span>{word(group, id)}</Tag>
}

/** SeverityTag says how grave an anomaly looks. */
export const SeverityTag = ({ severity }: { severity: string }) => <Signed group="severity" id={severity} marks={severities} />

/** Measure says how far an order goes: adjust, restrict, offline. */
export const Measure = ({ measure }: { measure: string }) => <Signed group="measure" id={measure} marks={measures} />
