// The console in a real browser: one instance and one browser for all of it, in this order.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Desk } from './desk.mjs'
import { login } from './login.mjs'
import { lost } from './lost.mjs'
import { pages } from './pages.mjs'
import { policy } from './policy.mjs'

const desk = new Desk()
before(() => desk.open(), { timeout: 90_000 })
after(() => desk.close())

pages(desk)
policy(desk)
lost(desk)
login(desk) // last: some of the team have codes afterwards

test('through all of this no page broke, and nothing was forbidden by the content security policy', () => {
  assert.deepEqual(desk.broken, [])
  assert.deepEqual(desk.violations, [])
  assert.doesNotMatch(desk.said, /content security policy broken/)
})
