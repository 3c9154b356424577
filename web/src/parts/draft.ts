import { useEffect, useState } from 'react'

const prefix = 'fengsui.draft.'
const owner = 'fengsui.drafts-of'

/**
 * useDraft is useState that outlives a reload and a lost server: what was typed is kept in this tab until it was
 * sent (forget) or the person signs out. Key names what is typed, for instance `incident.ID.statement`.
 */
export function useDraft<T>(key: string, initial: T): [T, (v: T) => void, () => void] {
  const [value, set] = useState<T>(() => read(key) ?? initial)
  useEffect(() => {
    const at = setTimeout(() => {
      if (JSON.stringify(value) === JSON.stringify(initial)) sessionStorage.removeItem(prefix + key)
      else sessionStorage.setItem(prefix + key, JSON.stringify(value))
    }, 200)
    return () => clearTimeout(at)
  }, [key, value, initial])
  const forget = () => {
    sessionStorage.removeItem(prefix + key)
    set(initial)
  }
  return [value, set, forget]
}

/** readDraft gives what was kept under key, keepDraft keeps it; for forms that hold their own state. */
export function readDraft<T>(key: string): T | undefined {
  return read<T>(key)
}

export function keepDraft(key: string, value: unknown) {
  sessionStorage.setItem(prefix + key, JSON.stringify(value))
}

export function forgetDraft(key: string) {
  sessionStorage.removeItem(prefix + key)
}

/** forgetDrafts takes away all that was typed, when somebody signs out. */
export function forgetDrafts() {
  for (const k of Object.keys(sessionStorage)) if (k.startsWith(prefix)) sessionStorage.removeItem(k)
}

/** draftsBelongTo says who types from now on: what somebody else began in this tab is taken away before it can be seen or sent. */
export function draftsBelongTo(person: string) {
  if (sessionStorage.getItem(owner) === person) return
  forgetDrafts()
  sessionStorage.setItem(owner, person)
}

function read<T>(key: string): T | undefined {
  const raw = sessionStorage.getItem(prefix + key)
  try {
    return raw === null ? undefined : (JSON.parse(raw) as T)
  } catch {
    return undefined
  }
}
