import { expect, test } from 'vitest'
import { assessed, typedIn } from './decide'

const sent = async (state: string, refused = false) => {
  const calls: string[] = []
  const call = (name: string, error?: string) => (h: { 'Idempotency-Key': string }) => {
    calls.push(`${name} ${h['Idempotency-Key']}`)
    return Promise.resolve({ error, data: name })
  }
  const out = await assessed(state, { 'Idempotency-Key': 'k' }, call('assess', refused ? 'no' : undefined), call('dismiss'))
  return { calls, out }
}

test('one press begins the assessment and decides, each with its own key', async () => {
  expect((await sent('open')).calls).toEqual(['assess k-assess', 'dismiss k'])
  expect((await sent('assessing')).calls).toEqual(['dismiss k'])
})

test('nothing is decided when the assessment could not begin', async () => {
  const { calls, out } = await sent('open', true)
  expect(calls).toEqual(['assess k-assess'])
  expect(out.error).toBe('no')
})

test('what was typed is kept as text', () => {
  expect(typedIn(undefined)).toBe('')
  expect(typedIn({ title: ' ', reason: '不是事件', n: 3 })).toBe('不是事件')
})
