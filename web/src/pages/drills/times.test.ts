import { expect, test } from 'vitest'
import { paceOf, share } from './times'

test('a step at its limit is in time, one after it is late, and one that is not done is open', () => {
  expect([paceOf(60_000, 60_000), paceOf(60_001, 60_000), paceOf(0, 60_000), paceOf(0, 60_000, true)]).toEqual(['early', 'late', 'open', 'early'])
})

test('a bar stays within its box, shows the smallest part, and nothing for nothing', () => {
  expect([share(1, 1_000_000), share(5, 10), share(20, 10), share(0, 10), share(5, 0)]).toEqual([1, 50, 100, 0, 0])
})
