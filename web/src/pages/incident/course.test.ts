import { expect, test } from 'vitest'
import { doneStages, nextStep, seesAll, unknownStages } from './course'
import { nearest, type Dossier } from './dossier'
import { beijingMs } from './fields'
import { line, visible } from './story'
import { partsOf, rolesWaited } from './team'

const min = 60_000
const now = 1_000 * min

function dossier(over: object = {}): Dossier {
  return {
    incident: { state: 'responding', declared_by: 'me' }, level: { working: 2, final: 2, stage: 'confirmed' }, unseen: [],
    orders: [{ id: 'o', state: 'in_force', rung: 'strict_filter', issued_by: 'me' }], obligations: [], gate_reviews: [], second_signatures: [], categories: [{ rank: 'primary' }],
    plan_runs: [{}], fixes: [], service_tests: [], facts: [], tasks: [], closings: [], retrospectives: [], actions: [], assessments: [], cac_grades: [], statements: [],
    fact_checks: [], impacts: [], spread: [], names: { me: 'A', you: 'B' }, ...over,
  } as unknown as Dossier
}
const facts = ['personal_information', 'endangering_flaw', 'crime_suspected'].map((name) => ({ name }))
const fixed = { fixes: [{ fixed_ms: 5 }], service_tests: [{ started_ms: 6, state: 'passed' }], facts, orders: [{ id: 'o', state: 'lifted' }] }
const owed = (due_ms: number) => [{ id: 'd', state: 'owed', due_ms }]

test('the harm is stopped before anything else, even before a clock that burns', () => {
  expect(nextStep(dossier({ orders: [], categories: [], level: { working: 0 }, obligations: owed(now + min) }), now, 'me')?.do).toBe('order')
})

test('a clock of less than a quarter of an hour comes before the paper work, one of an hour does not', () => {
  const d = (ms: number) => dossier({ categories: [], obligations: owed(now + ms) })
  expect(nextStep(d(10 * min), now, 'me')).toMatchObject({ do: 'submit', form: 'submit.d', panel: 'clocks' })
  expect(nextStep(d(-min), now, 'me')?.do).toBe('submit')
  expect(nextStep(d(60 * min), now, 'me')?.do).toBe('categorise')
})

test('a report that is owed at once comes before the paper work, for those who report, and before every countdown', () => {
  const d = dossier({ categories: [], obligations: [{ id: 'now', state: 'owed', due_ms: 0, at_once: true }, ...owed(now + 60 * min)] })
  expect(nextStep(d, now, 'me')?.form).toBe('submit.now')
  expect(nextStep(d, now, 'me', (action) => action !== 'obligation.submit')?.do).toBe('categorise')
  expect(nearest(d.obligations)?.id).toBe('now')
  const pending = dossier({ categories: [], obligations: [{ id: 'perhaps', state: 'pending', due_ms: 0 }] })
  expect(nextStep(pending, now, 'me')?.do).toBe('categorise')
  expect(nearest(pending.obligations)).toBeUndefined()
})

test('what may not be seen is neither empty, nor done, nor the next step', () => {
  const hidden = { orders: [], obligations: [], unseen: ['orders', 'obligations'] }
  const d = dossier(hidden)
  expect(nextStep(d, now, 'me')?.do).toBe('fix')
  expect(doneStages(d).has('report')).toBe(false)
  expect(doneStages(d).has('contain')).toBe(false)
  expect([...unknownStages(d)]).toEqual(['contain', 'report'])
  for (const state of ['responding', 'recovering', 'ended']) expect(nextStep(dossier({ ...fixed, ...hidden, incident: { state } }), now, 'me'), state).toBeUndefined()
  expect(seesAll(d)).toBe(false)
  expect(nextStep(dossier({ ...fixed, ...hidden, incident: { state: 'verifying' } }), now, 'me')?.do).toBe('verify')
  // The same, to be seen, is empty.
  expect(nextStep(dossier({ orders: [] }), now, 'me')?.do).toBe('order')
  expect(doneStages(dossier()).has('report')).toBe(true)
  expect(unknownStages(dossier()).size).toBe(0)
})

test.each([
  ['categorise', { categories: [] }],
  ['assess', { level: { working: 0 } }],
  ['plan', { plan_runs: [] }],
  ['confirm', { level: { working: 2, stage: 'preliminary' } }],
  ['submit', { obligations: owed(now + 600 * min) }],
  ['ratify', { gate_reviews: [{ id: 'r', state: 'requested', direction: 'offline' }] }],
  ['fix', {}],
  ['test', { ...fixed, service_tests: [] }],
  ['test', { ...fixed, service_tests: [{ started_ms: 4, state: 'passed' }] }], // of before the fix
  ['online', { ...fixed, orders: [{ id: 'o', state: 'in_force', rung: 'service_offline' }] }],
  ['lift', { ...fixed, orders: [{ id: 'o', state: 'in_force', rung: 'strict_filter' }] }],
  ['fact', { ...fixed, facts: [] }],
  ['strike', { ...fixed, obligations: [{ id: 'd', state: 'pending', due_ms: 0 }] }],
  ['task', { ...fixed, tasks: [{ id: 't', state: 'open' }] }],
  ['recover', fixed],
  ['end', { ...fixed, incident: { state: 'recovering' } }],
  ['apply', { ...fixed, incident: { state: 'ended' } }],
  ['verify', { ...fixed, incident: { state: 'verifying' } }],
  ['retro', { ...fixed, incident: { state: 'closed' } }],
  ['action', { ...fixed, incident: { state: 'closed' }, retrospectives: [{}], actions: [{ id: 'a', state: 'open' }] }],
])('then comes %s', (step, over) => {
  expect(nextStep(dossier(over), now, 'me')?.do).toBe(step)
})

test('what waits for a second person leads another one there, not the one who asked', () => {
  const d = dossier({ second_signatures: [{ id: 's', state: 'requested', requested_by: 'me' }] })
  expect(nextStep(d, now, 'you')?.form).toBe('second.s')
  expect(nextStep(d, now, 'me')?.do).not.toBe('second')
})

test('when all is closed and learnt there is no step and no stage left', () => {
  const d = dossier({ ...fixed, incident: { state: 'closed' }, retrospectives: [{}] })
  expect(nextStep(d, now, 'me')).toBeUndefined()
  expect(doneStages(d).size).toBe(9)
})

test('a level that one person guessed at is no graded one', () => {
  expect(doneStages(dossier({ level: { working: 2, stage: 'preliminary' } })).has('grade')).toBe(false)
  expect(doneStages(dossier()).has('grade')).toBe(true)
})

test('of 5,000 lines only those in sight are drawn', () => {
  expect(visible(0, 460, 5000)).toEqual({ from: 0, to: 18 })
  const middle = visible(46 * 2500, 460, 5000)
  expect(middle.from).toBeLessThan(2500)
  expect(middle.to - middle.from).toBeLessThan(40)
  expect(visible(46 * 9000, 460, 5000).to).toBe(5000)
  expect(visible(0, 460, 0)).toEqual({ from: 0, to: 0 })
})

test('a line tells what is of use and no ids', () => {
  expect(line({ detail: { 'order.id': '01ABC', 'order.rung': 'strict_filter', reason: 'because', 'order.seq': 7 } })).toBe('because · strict_filter')
  const words: Record<string, string> = { 'task.state.open': '未完成', 'rung.open': '不对' }
  const word = (group: string, id: string) => words[`${group}.${id}`] ?? id
  expect(line({ object_kind: 'task', detail: { state: 'open', title: 'open' } }, word)).toBe('未完成 · open')
  expect(line({ detail: { erased: true, reason: 'x' } })).toBe('—')
})

test('times are read as Beijing time', () => {
  expect(beijingMs('2026-01-31 08:30')).toBe(Date.UTC(2026, 0, 31, 0, 30))
  expect(beijingMs('2026-01-31 08:30:05')).toBe(Date.UTC(2026, 0, 31, 0, 30, 5))
  for (const bad of ['', '2026-01-31', '2026-13-01 08:30', '31.1.2026 8:30', '2026-01-31 25:00']) expect(beijingMs(bad), bad).toBe(0)
})

test('people are listed by what they did; parts of the system are not people', () => {
  const d = dossier({ orders: [{ issued_by: 'me' }, { issued_by: 'system' }], statements: [{ drafted_by: 'you' }], tasks: [{ role: 'engineer', state: 'open' }, { role: 'engineer', state: 'open' }, { role: 'x', state: 'done' }] })
  expect(partsOf(d)).toEqual([['me', ['declared', 'ordered']], ['you', ['said']]])
  expect(rolesWaited(d)).toEqual([['engineer', 2]])
})
