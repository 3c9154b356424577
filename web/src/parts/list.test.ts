import { createElement } from 'react'
import { expect, test } from 'vitest'
import { choices, csv, List, type Filter } from './list'

type Row = { id: string; state: string }
const rows: Row[] = [{ id: '1', state: 'b' }, { id: '2', state: 'a' }, { id: '3', state: 'b' }, { id: '4', state: '' }]

test('a filter without options offers the values that the rows have, with how many have each', () => {
  const f: Filter<Row> = { key: 'state', title: 'state', of: (r) => r.state, label: (v) => v.toUpperCase() }
  expect(choices(f, rows)).toEqual([{ value: 'a', label: 'A', count: 1 }, { value: 'b', label: 'B', count: 2 }])
  expect(choices({ key: 'state', title: 'state', options: [{ value: 'c', label: 'C' }], of: (r: Row) => r.state }, rows)).toEqual([{ value: 'c', label: 'C' }])
})

test('a list without a filter does not compile', () => {
  const p = { name: 'x', rows, rowKey: (r: Row) => r.id, columns: [], empty: '' }
  createElement(List<Row>, { ...p, filters: [{ key: 'state', title: 'state', of: (r) => r.state }] })
  // @ts-expect-error a list without filters
  createElement(List<Row>, p)
  // @ts-expect-error a list whose filters are none
  createElement(List<Row>, { ...p, filters: [] })
})

test('no list goes round the compiler', () => {
  const sources = import.meta.glob('../**/*.tsx', { query: '?raw', eager: true, import: 'default' }) as Record<string, string>
  const cast = (s: string) => /<List(<any>)?\s/.test(s) || /filters=\{[^\n]*\bas\b/.test(s)
  expect(Object.values(sources).filter((s) => s.includes('<List<')).length).toBeGreaterThan(15)
  expect(Object.entries(sources).filter(([, s]) => cast(s)).map(([path]) => path)).toEqual([])
  expect(cast('<List rows={x} />')).toBe(true)
  expect(cast('filters={[] as never}')).toBe(true)
})

test('what is written out here is no formula', () => {
  expect(csv([{ title: 'a', text: (r: Row) => r.state }], [{ id: '1', state: '=1+1' }])).toBe("a\r\n'=1+1\r\n")
})
