/** Moment is one entry of the record as the timeline tells it. */
export type Moment = { seq: number; at_ms: number; action: string; actor_id: string; actor_name: string; object_kind: string; object_id: string; detail: Record<string, unknown> }

const row = 46
const spare = 8

/** visible says which rows of a long list are in sight, with some to spare. */
export function visible(scrollTop: number, height: number, rows: number): { from: number; to: number } {
  const from = Math.min(Math.max(0, Math.floor(scrollTop / row) - spare), Math.max(0, rows - 1))
  return { from, to: Math.min(rows, Math.ceil((scrollTop + height) / row) + spare) }
}

const told = ['reason', 'rung', 'state', 'number', 'title', 'stage', 'working_level', 'grade', 'name', 'value', 'recipient', 'channel', 'receipt', 'from', 'to', 'plan', 'guide_type', 'source']

/** line puts what a moment says of itself into one line: what people look for first, ids never. */
export function line(m: Pick<Moment, 'detail'>): string {
  if (m.detail?.erased) return '—'
  const found: [number, string][] = []
  for (const [path, v] of Object.entries(m.detail ?? {})) {
    const name = path.split('.').at(-1) ?? path
    const at = told.indexOf(name)
    if (at >= 0 && (typeof v === 'string' || typeof v === 'number') && v !== '') found.push([at, String(v)])
  }
  return [...new Set(found.sort((a, b) => a[0] - b[0]).map(([, v]) => v))].join(' · ')
}
