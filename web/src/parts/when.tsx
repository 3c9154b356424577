import { useEffect, useState } from 'react'
import { useTranslation } from '../shell/language'
import { serverNow } from '../shell/link'

const beijing = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Asia/Shanghai', dateStyle: 'short', timeStyle: 'medium' })

/** stamp is a time in Beijing as 2026-11-22 11:03:05, from UTC milliseconds; empty for 0. */
export const stamp = (ms: number) => (ms ? beijing.format(ms) : '')

/** useNow is the server's present, renewed every second; one timer serves the whole page. */
export function useNow(): number {
  const [now, set] = useState(serverNow)
  useEffect(() => {
    watchers.add(set)
    timer ??= setInterval(() => watchers.forEach((w) => w(serverNow())), 1000)
    return () => {
      watchers.delete(set)
      if (watchers.size === 0) {
        clearInterval(timer)
        timer = undefined
      }
    }
  }, [])
  return now
}
const watchers = new Set<(now: number) => void>()
let timer: ReturnType<typeof setInterval> | undefined

/** span is a length of time as 1 天 02:03:04 or 02:03:04, from milliseconds. */
export function useSpan(): (ms: number) => string {
  const { t } = useTranslation()
  return (ms) => {
    const s = Math.floor(Math.abs(ms) / 1000)
    const two = (n: number) => String(n).padStart(2, '0')
    const clock = `${two(Math.floor((s % 86400) / 3600))}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`
    const days = Math.floor(s / 86400)
    return days > 0 ? t('common.days_clock', { days, clock }) : clock
  }
}

/** When shows a time in Beijing, with how long ago it was on hover: put there when it is asked for, as rows have several. */
export function When({ ms }: { ms: number }) {
  const { t } = useTranslation()
  const span = useSpan()
  if (!ms) return <span>{t('common.none')}</span>
  return (
    <time dateTime={new Date(ms).toISOString()} className="nowrap" onPointerEnter={(e) => (e.currentTarget.title = t('common.ago', { span: span(Math.max(0, serverNow() - ms)) }))}>
      {stamp(ms)}
    </time>
  )
}

/** Ago shows how long ago a time was. */
export function Ago({ ms }: { ms: number }) {
  const { t } = useTranslation()
  const span = useSpan()
  const now = useNow()
  return <span>{t('common.ago', { span: span(Math.max(0, now - ms)) })}</span>
}

/** AtOnce shows a report that is owed at once, without a due time, and for how long it has been. */
export function AtOnce({ sinceMs }: { sinceMs: number }) {
  const { t } = useTranslation()
  const span = useSpan()
  const now = useNow()
  return <span role="timer" className="clock late" title={stamp(sinceMs)}>‼ {t('common.at_once', { span: span(Math.max(0, now - sinceMs)) })}</span>
}

/**
 * Countdown shows a clock that runs towards dueMs: what is left, or by how much it is over. Words and a sign say what
 * the colour says. StoppedMs is when it was met, 0 while it runs.
 */
export function Countdown({ dueMs, stoppedMs = 0 }: { dueMs: number; stoppedMs?: number }) {
  const { t } = useTranslation()
  const span = useSpan()
  const now = useNow()
  if (!dueMs) return <span>{t('common.no_clock')}</span>
  if (stoppedMs) return <span className={stoppedMs > dueMs ? 'clock late' : 'clock met'}>{t(stoppedMs > dueMs ? 'common.clock_met_late' : 'common.clock_met')} <When ms={stoppedMs} /></span>
  const left = dueMs - now
  const mood = left < 0 ? 'late' : left < 15 * 60_000 ? 'urgent' : left < 60 * 60_000 ? 'soon' : 'calm'
  return (
    <span role="timer" className={`clock ${mood}`} title={stamp(dueMs)}>
      {left < 0 ? `‼ ${t('common.clock_over', { span: span(left) })}` : `${mood === 'urgent' ? '！' : ''}${t('common.clock_left', { span: span(left) })}`}
    </span>
  )
}
