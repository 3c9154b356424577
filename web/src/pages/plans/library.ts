import type { Schema } from '../../api/client'

type Version = Schema<'PlanVersion'>
type Cell = Schema<'FlowCoverageCell'>

/** Entry is one plan of the library: shown is the version in force, else the newest; draft waits for approval. */
export type Entry = { id: string; shown: Version; draft?: Version; versions: number }

/** library makes one entry a plan out of all versions, in the order of category and level. */
export function library(all: Version[]): Entry[] {
  const byId = new Map<string, Version[]>()
  for (const v of all) byId.set(v.id, [...(byId.get(v.id) ?? []), v])
  return [...byId]
    .map(([id, versions]) => {
      const newest = versions.reduce((a, b) => (b.version > a.version ? b : a))
      const inForce = versions.find((v) => v.state === 'approved')
      return { id, shown: inForce ?? newest, versions: versions.length, ...(newest.state === 'draft' ? { draft: newest } : {}) }
    })
    .sort((a, b) => (a.shown.category === b.shown.category ? a.shown.level - b.shown.level : a.shown.category < b.shown.category ? 1 : -1))
}

/** Fit says how well a cell is served, best first: a plan of its own, one of its type, the general one, a draft only, none. */
export type Fit = 'own' | 'type' | 'general' | 'draft' | 'none'

/** fitOf tells how well a cell of the matrix is served. */
export function fitOf(c: Cell): Fit {
  if (c.state === '') return 'none'
  if (c.state !== 'approved') return 'draft'
  return c.category === '*' ? 'general' : c.category === c.subtype ? 'own' : 'type'
}

/** matrix lays the cells out: a group a type of the guide, a row a subtype, four levels each from the gravest. */
export function matrix(cells: Cell[]): { group: string; rows: { subtype: string; cells: Cell[] }[] }[] {
  const out: { group: string; rows: { subtype: string; cells: Cell[] }[] }[] = []
  for (const c of cells) {
    const group = c.subtype.split('.')[0] ?? ''
    let g = out.find((x) => x.group === group)
    if (!g) out.push((g = { group, rows: [] }))
    let row = g.rows.find((x) => x.subtype === c.subtype)
    if (!row) g.rows.push((row = { subtype: c.subtype, cells: [] }))
    row.cells.push(c)
    row.cells.sort((a, b) => a.level - b.level)
  }
  return out
}

/** tally counts the cells by fit, those that were drilled, and those whose plan nobody here has approved. */
export function tally(cells: Cell[]) {
  const by: Record<Fit, number> = { own: 0, type: 0, general: 0, draft: 0, none: 0 }
  for (const c of cells) by[fitOf(c)]++
  return { by, all: cells.length, drilled: cells.filter((c) => c.drill_passed).length, starter: cells.filter((c) => c.starter).length }
}
