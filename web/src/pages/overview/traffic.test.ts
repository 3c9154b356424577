import { expect, test } from 'vitest'
import { byVerdict } from './traffic'

const line = (kind: string, verdict: string, counts: number[]) => ({ kind, verdict, counts, simulated: false, total: counts.reduce((a, b) => a + b, 0) })

test('real traffic is summed by verdict, the worst last, and drills are left out unless asked for', () => {
  const lines = [line('real', 'block', [1, 0]), line('real', 'allow', [5, 6]), line('drill', 'block', [0, 9]), line('real', 'allow', [1, 1])]
  expect(byVerdict(lines, true)).toEqual([{ verdict: 'allow', values: [6, 7], total: 13 }, { verdict: 'block', values: [1, 0], total: 1 }])
  expect(byVerdict(lines, false)[1]).toEqual({ verdict: 'block', values: [1, 9], total: 10 })
})
