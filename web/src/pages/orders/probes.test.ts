import { expect, test } from 'vitest'
import { failing } from './probes'

const probe = (gateway_id: string, at_ms: number, effective: boolean) => ({ gateway_id, at_ms, effective, detail: effective ? 'refused_offline' : 'passed' })

test('an order fails where the newest probe of any gateway came through, not where an older one did', () => {
  expect(failing([])).toEqual([])
  expect(failing([probe('a', 1, false), probe('a', 2, true)])).toEqual([])
  expect(failing([probe('a', 1, true), probe('b', 1, true), probe('b', 2, false)]).map((p) => p.gateway_id)).toEqual(['b'])
})
