import { BarChart } from 'echarts/charts'
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from 'echarts/components'
import { init, use, type ComposeOption } from 'echarts/core'
import type { BarSeriesOption } from 'echarts/charts'
import type { GridComponentOption, LegendComponentOption, TooltipComponentOption } from 'echarts/components'
import { CanvasRenderer } from 'echarts/renderers'
import { useEffect, useRef } from 'react'
import { useShade } from '../shell/theme'

use([BarChart, GridComponent, TooltipComponent, LegendComponent, AriaComponent, CanvasRenderer])

type Option = ComposeOption<BarSeriesOption | GridComponentOption | TooltipComponentOption | LegendComponentOption>

/** Stack is one part of each bar. */
export type Stack = { name: string; color: string; values: number[] }

/**
 * Bars draws stacked bars. Patterns tell the parts apart besides colour; whoever cannot see it gets `label` and should
 * find the numbers in a table beside it.
 */
export default function Bars({ times, stacks, label, height = 190 }: { times: string[]; stacks: Stack[]; label: string; height?: number }) {
  const box = useRef<HTMLDivElement>(null)
  const { dark } = useShade()
  useEffect(() => {
    const chart = init(box.current!, dark ? 'dark' : undefined, { renderer: 'canvas' })
    const watch = new ResizeObserver(() => chart.resize())
    watch.observe(box.current!)
    const option: Option = {
      animation: false,
      backgroundColor: 'transparent',
      aria: { enabled: true, label: { enabled: false }, decal: { show: true } },
      grid: { left: 36, right: 8, top: 28, bottom: 22 },
      legend: { top: 0, left: 0, itemHeight: 10 },
      tooltip: { trigger: 'axis', renderMode: 'richText', confine: true },
      xAxis: { type: 'category', data: times, axisTick: { show: false } },
      yAxis: { type: 'value', minInterval: 1 },
      series: stacks.map((s) => ({ type: 'bar', stack: 'all', name: s.name, data: s.values, itemStyle: { color: s.color }, barCategoryGap: '15%' })),
    }
    chart.setOption(option)
    return () => {
      watch.disconnect()
      chart.dispose()
    }
  }, [times, stacks, dark])
  return <div ref={box} role="img" aria-label={label} style={{ height }} />
}
