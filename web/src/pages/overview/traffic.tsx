import { Checkbox, Spin } from 'antd'
import { lazy, Suspense, useMemo, useState } from 'react'
import { useTranslation } from '../../shell/language'
import type { Schema } from '../../api/client'
import type { Stack } from '../../parts/chart'
import { stamp } from '../../parts/when'
import { useWords } from '../../parts/word'

const Bars = lazy(() => import('../../parts/chart')) // the chart library comes when the numbers stand already

const colors: Record<string, string> = { allow: '#5b8c5a', observe: '#8c8c8c', mask: '#d48806', replace: '#d46b08', block: '#cf1322', none: '#bfbfbf', uninspected: '#531dab' }

/** byVerdict sums the lines of the traffic that is asked for, verdict by verdict, worst last. */
export function byVerdict(lines: Schema<'FlowTrafficLine'>[], real: boolean): { verdict: string; values: number[]; total: number }[] {
  const order = Object.keys(colors)
  const sums = new Map<string, number[]>()
  for (const l of lines) {
    if (real && l.kind !== 'real') continue
    const sum = sums.get(l.verdict) ?? l.counts.map(() => 0)
    l.counts.forEach((n, k) => (sum[k] += n))
    sums.set(l.verdict, sum)
  }
  return [...sums].map(([verdict, values]) => ({ verdict, values, total: values.reduce((a, b) => a + b, 0) })).sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict))
}

export function Traffic({ traffic }: { traffic: Schema<'FlowTrafficSeries'> }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const [drills, setDrills] = useState(false)
  const sums = useMemo(() => byVerdict(traffic.lines, !drills), [traffic, drills])
  const names = sums.map((s) => word('verdict', s.verdict)).join('\n') // the words may come after the numbers, or change their language
  const stacks: Stack[] = useMemo(() => sums.map((s, n) => ({ name: names.split('\n')[n], color: colors[s.verdict] ?? '#595959', values: s.values })), [sums, names]) // eslint-disable-line
  const times = useMemo(() => (traffic.lines[0]?.counts ?? []).map((_, k) => stamp(traffic.from_ms + k * traffic.step_ms).slice(11, 16)), [traffic])
  const simulated = traffic.lines.some((l) => l.simulated)
  if (sums.length === 0) return <p>{t('overview.no_traffic')}</p>
  return (
    <>
      {simulated && <strong>※ {t('overview.simulated')} </strong>}
      <Checkbox checked={drills} onChange={(e) => setDrills(e.target.checked)}>{t('overview.with_drills')}</Checkbox>
      <Suspense fallback={<Spin />}>
        <Bars times={times} stacks={stacks} label={t('overview.traffic_chart')} />
      </Suspense>
      <table className="plain">
        <caption>{t('overview.traffic_totals')}</caption>
        <thead><tr>{sums.map((s) => <th key={s.verdict}>{word('verdict', s.verdict)}</th>)}</tr></thead>
        <tbody><tr>{sums.map((s) => <td key={s.verdict}>{s.total}</td>)}</tr></tbody>
      </table>
    </>
  )
}
