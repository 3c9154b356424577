import { expect, test } from 'vitest'
import en from './en'
import zh from './zh'

function flat(tree: object, prefix = ''): Map<string, string> {
  const out = new Map<string, string>()
  for (const [k, v] of Object.entries(tree)) {
    if (typeof v === 'object') for (const [p, t] of flat(v, `${prefix}${k}.`)) out.set(p, t)
    else out.set(prefix + k, v)
  }
  return out
}

const texts = { zh: flat(zh), en: flat(en) }
const sources = import.meta.glob('../**/*.{ts,tsx}', { query: '?raw', eager: true, import: 'default' }) as Record<string, string>
const code = Object.entries(sources).filter(([path]) => !path.endsWith('.test.ts') && !path.endsWith('.test.tsx') && !path.includes('/api/schema'))
const slots = (s: string) => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join()

test('every key has both languages, with the same placeholders', () => {
  expect([...texts.en.keys()].sort()).toEqual([...texts.zh.keys()].sort())
  for (const [key, text] of texts.zh) {
    expect(text, key).not.toBe('')
    expect(texts.en.get(key), key).not.toBe('')
    expect(slots(texts.en.get(key)!), key).toBe(slots(text))
  }
})

test('English texts hold no Chinese, but for names of the trade in brackets', () => {
  for (const [key, text] of texts.en) if (key !== 'shell.other_language') expect(text.replace(/[（(][^）)]*[）)]/g, ''), key).not.toMatch(/[\u4e00-\u9fff]/)
})

test('every key that the code asks for is there', () => {
  let asked = 0
  for (const [path, source] of code)
    for (const m of source.matchAll(/\bt\(\s*'([\w.-]+)'/g)) {
      asked++
      expect(texts.zh.has(m[1]), `${path}: ${m[1]}`).toBe(true)
    }
  expect(asked).toBeGreaterThan(20)
})

test('no sentence stands in the code itself', () => {
  for (const [path, source] of code) {
    const bare = source.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '')
    expect(bare.match(/[\u4e00-\u9fff]+/g) ?? [], path).toEqual([])
  }
})
