import { expect, test } from 'vitest'
import { fromBeijing, importanceOf } from './importance'

const said = (id: string, object_id: string, level: string, from_ms: number) => ({ id, object_id, level, from_ms, ground: 'g', set_by: 'p' })
const all = [said('1', 'a', '一般', 100), said('2', 'a', '重要', 200), said('3', 'a', '特别重要', 900), said('4', 'b', '重要', 150), said('5', 'a', '一般', 200)]

test('the newest statement that has begun is in force, and of two at one time the later made', () => {
  expect(importanceOf(all, 'a', 250).inForce?.id).toBe('5')
  expect(importanceOf(all, 'a', 150).inForce?.id).toBe('1')
  expect(importanceOf(all, 'a', 99).inForce).toBeUndefined()
})

test('what begins later is told apart, and other objects are left out', () => {
  const a = importanceOf(all, 'a', 250)
  expect(a.ahead.map((s) => s.id)).toEqual(['3'])
  expect(a.history.map((s) => s.id)).toEqual(['3', '5', '2', '1'])
})

test('a date field is read as Beijing time wherever the desk stands', () => {
  expect(fromBeijing('2026-11-22T08:00')).toBe(Date.UTC(2026, 10, 22))
  expect(fromBeijing('')).toBe(0)
  expect(fromBeijing('soon')).toBe(0)
})
