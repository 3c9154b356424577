/** Moment is one entry of the record as the timeline tells it. */
export type Moment = { seq: number; at_ms: number; action: string; actor_id: string; actor_name: string; object_kind: string; object_id: string; detail: Record<string, unknown> }

const row = 46
const spare = 8

/** visible says which rows of a long list are in sight, with some to spare. */
export function visible(scrollTop: number, height: number, rows: number): { from: number; to: number } {
  const from = Math.min(Math.max(0, Math.floor(scrollTop / row) - spare), Math.max(0, rows - 1))
  return { from, to: Math.min(rows, Math.ceil((scrollTop + height) / row) + spare) }
}

// What people look for first, and the lists of words (GET /reference) in which a value may stand; {kind} is the object's.
const told: Record<string, string[]> = {
  reason: ['reason'], rung: ['rung'], state: ['{kind}.state', 'second.state', 'incident.state'], number: [], title: [], stage: ['stage'], working_level: ['level'], grade: ['cac_grade'],
  name: ['milestone', 'fact', 'obligation_rule'], value: [], recipient: ['recipient'], channel: ['obligation_channel'], receipt: [], from: ['{kind}.state', 'incident.state'], to: ['{kind}.state', 'incident.state'],
  plan: [], guide_type: ['guide_type'], source: ['source', 'awareness_source'],
}
const order = Object.keys(told)

/** line puts what a moment says of itself into one line: what people look for first, codes in words, ids never. */
export function line(m: Pick<Moment, 'detail'> & { object_kind?: string }, word: (group: string, id: string) => string = (_, id) => id): string {
  if (m.detail?.erased) return '—'
  const found: [number, string][] = []
  for (const [path, v] of Object.entries(m.detail ?? {})) {
    const name = path.split('.').at(-1) ?? path
    const at = order.indexOf(name)
    if (at < 0 || (typeof v !== 'string' && typeof v !== 'number') || v === '') continue
    const code = String(v)
    const said = told[name].map((g) => word(g.replace('{kind}', m.object_kind ?? ''), code)).find((w) => w !== code)
    found.push([at, said ?? code])
  }
  return [...new Set(found.sort((a, b) => a[0] - b[0]).map(([, v]) => v))].join(' · ')
}
