/** Pace says how a step stands to the time that the plan gives it. */
export type Pace = 'early' | 'late' | 'open'

/** paceOf compares what a step took with what the plan gives it; 0 taken is not done. */
export function paceOf(tookMs: number, withinMs: number, done = tookMs > 0): Pace {
  return !done ? 'open' : tookMs <= withinMs ? 'early' : 'late'
}

/** share is part of whole for a bar, 0…100; what is there at all is seen, however small. */
export function share(part: number, whole: number): number {
  if (part <= 0 || whole <= 0) return 0
  return Math.min(100, Math.max(1, Math.round((100 * part) / whole)))
}
