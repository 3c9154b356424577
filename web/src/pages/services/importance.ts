import type { Schema } from '../../api/client'

type Statement = Schema<'ServiceImportance'>

/** importanceOf is what was said about one object, newest first: what is in force at nowMs, and what has yet to begin. */
export function importanceOf(all: Statement[], objectId: string, nowMs: number) {
  const history = all.filter((s) => s.object_id === objectId).sort((a, b) => b.from_ms - a.from_ms || (a.id < b.id ? 1 : -1))
  return { history, inForce: history.find((s) => s.from_ms <= nowMs), ahead: history.filter((s) => s.from_ms > nowMs) }
}

/** fromBeijing reads what a field for date and time gives ("2026-11-22T11:00") as a time in Beijing; 0 for none. */
export function fromBeijing(value: string | undefined): number {
  const ms = value ? Date.parse(`${value}+08:00`) : 0
  return Number.isNaN(ms) ? 0 : ms
}
