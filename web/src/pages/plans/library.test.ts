import { expect, test } from 'vitest'
import type { Schema } from '../../api/client'
import { fitOf, library, matrix, tally } from './library'

const version = (id: string, n: number, state: string, category = 'content', level = 2) => ({ id, version: n, state, category, level }) as Schema<'PlanVersion'>
const cell = (subtype: string, level: number, rest: object = {}) => ({ subtype, level, state: '', category: '', drill_passed: false, starter: false, ...rest }) as Schema<'FlowCoverageCell'>

test('the library shows the version in force and tells of a newer draft', () => {
  const [entry] = library([version('a', 3, 'draft'), version('a', 2, 'approved'), version('a', 1, 'retired')])
  expect([entry.shown.version, entry.draft?.version, entry.versions]).toEqual([2, 3, 3])
})

test('without one in force the newest is shown; a draft that was passed over is no draft any more', () => {
  expect(library([version('a', 1, 'draft'), version('a', 2, 'draft')])[0].shown.version).toBe(2)
  expect(library([version('a', 1, 'draft'), version('a', 2, 'approved')])[0].draft).toBeUndefined()
})

test('a cell is served by its own plan, that of its type, the general one, a draft, or none', () => {
  expect(fitOf(cell('content.false', 2, { state: 'approved', category: 'content.false' }))).toBe('own')
  expect(fitOf(cell('content.false', 2, { state: 'approved', category: 'content' }))).toBe('type')
  expect(fitOf(cell('content.false', 2, { state: 'approved', category: '*' }))).toBe('general')
  expect(fitOf(cell('content.false', 2, { state: 'draft', category: 'content.false' }))).toBe('draft')
  expect(fitOf(cell('content.false', 2))).toBe('none')
})

test('the matrix has a group a type, a row a subtype, and levels from the gravest', () => {
  const m = matrix([cell('content.false', 2), cell('content.false', 1), cell('data.leak', 1)])
  expect(m.map((g) => [g.group, g.rows.length])).toEqual([['content', 1], ['data', 1]])
  expect(m[0].rows[0].cells.map((c) => c.level)).toEqual([1, 2])
  expect(tally([cell('a.b', 1), cell('a.b', 2, { state: 'approved', category: '*', drill_passed: true })])).toMatchObject({ all: 2, drilled: 1, by: { none: 1, general: 1 } })
})
