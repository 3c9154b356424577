import { createContext, useContext, useMemo, type ReactNode } from 'react'
import { api } from '../api/client'
import { language, useTranslation } from '../shell/language'

type Words = { word: (group: string, id: string | number) => string; options: (group: string) => { value: string; label: string }[] }
const Known = createContext<Words>({ word: (_, id) => String(id), options: () => [] })

/** WithWords reads the words once for all that stands in it: a table asks for hundreds. */
export function WithWords({ children }: { children: ReactNode }) {
  const { t } = useTranslation()
  const { data } = api.useQuery('get', '/api/v1/reference', {}, { staleTime: Infinity, gcTime: Infinity })
  const known = useMemo(() => {
    const word = (group: string, id: string | number): string => (id === '' ? '' : (data?.words[`${group}.${id}`]?.[language()] ?? String(id)))
    return { word, options: (group: string) => (data?.lists[group] ?? []).map((value: string) => ({ value, label: word(group, value) })) }
  }, [data, t])
  return <Known value={known}>{children}</Known>
}

/** useWords gives the console the server's own words: word('rung', 'service_offline'), and the values of an enumeration. */
export const useWords = () => useContext(Known)

// Mark is a Tag that costs nothing: rows have several each.
const Mark = ({ color = 'default', children }: { color?: string; children: ReactNode }) => <span className={`mark mark-${color}`}>{children}</span>

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
  if (!level) return <Mark>{t('common.ungraded')}</Mark>
  const s = signs[level]
  return (
    <Mark color={s?.color}>
      <span aria-hidden>{s?.sign} </span>
      {t(`common.level_${level}` as 'common.level_1')}
      {working && t('common.level_working')}
    </Mark>
  )
}

/** KindTag marks what is not real: drill, test, backfill. */
export function KindTag({ kind }: { kind: string }) {
  const { word } = useWords()
  if (!kind || kind === 'real') return null
  return <Mark color="purple">{`【${word('kind', kind)}】`}</Mark>
}

// How grave an anomaly looks, and how far an order goes: word and sign besides colour.
const severities: Record<string, { color: string; sign: string }> = { critical: { color: 'red', sign: '◆◆◆' }, high: { color: 'orange', sign: '◆◆' }, normal: { color: 'default', sign: '◆' } }
const measures: Record<string, { color: string; sign: string }> = { offline: { color: 'red', sign: '▇' }, restrict: { color: 'orange', sign: '▃' }, adjust: { color: 'default', sign: '▁' } }

/** severitySign is the sign that stands for a severity wherever it shows. */
export const severitySign = (severity: string) => severities[severity]?.sign ?? ''

function Signed({ group, id, marks }: { group: string; id: string; marks: typeof severities }) {
  const { word } = useWords()
  return <Mark color={marks[id]?.color}><span aria-hidden>{marks[id]?.sign} </span>{word(group, id)}</Mark>
}

/** SeverityTag says how grave an anomaly looks. */
export const SeverityTag = ({ severity }: { severity: string }) => <Signed group="severity" id={severity} marks={severities} />

/** Measure says how far an order goes: adjust, restrict, offline. */
export const Measure = ({ measure }: { measure: string }) => <Signed group="measure" id={measure} marks={measures} />
