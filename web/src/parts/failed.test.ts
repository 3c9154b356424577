import { expect, test } from 'vitest'
import { worthRetrying } from './failed'

test('what is not there or not allowed is not worth trying again; what may pass is', () => {
  const again = [0, 401, 403, 404, 409, 429, 500, 503].filter((status) => worthRetrying({ status, key: 'x', detail: 'x' }))
  expect(again).toEqual([0, 401, 409, 429, 500, 503])
  expect(worthRetrying(new Error('broken'))).toBe(true)
})
