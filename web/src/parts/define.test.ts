import { expect, test } from 'vitest'

const sources = import.meta.glob('../pages/**/*.tsx', { query: '?raw', eager: true, import: 'default' }) as Record<string, string>
const defined = Object.values(sources).flatMap((s) => [...s.matchAll(/<Define text=\{t\('([\w.]+)'\)\} \/>/g)].map((m) => m[1]))

// The numbers that a person decides by: each says what it counts.
const numbers = ['overview.what_traffic', 'overview.what_anomalies', 'overview.what_gateways', 'overview.what_backlog', 'compliance.what_counts', 'incident.what_reach', 'drills.what_times', 'drills.what_total']

test.each(numbers)('%s is said where the number stands', (key) => expect(defined).toContain(key))
test('no definition is asked for that is not listed', () => expect(defined.sort()).toEqual([...numbers].sort()))
