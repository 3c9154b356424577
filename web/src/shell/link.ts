import { useSyncExternalStore } from 'react'

/** Link is whether the server answers. sinceMs is when it last did, by this computer's clock. */
export type Link = { up: boolean; sinceMs: number; live: boolean }

let link: Link = { up: true, sinceMs: Date.now(), live: false }
let skew = 0
const listeners = new Set<() => void>()

function set(next: Link) {
  if (next.up === link.up && next.live === link.live) {
    link.sinceMs = next.sinceMs // not a change that anybody waits for
    return
  }
  link = next
  listeners.forEach((l) => l())
}

/** answered notes that the server answered, and by how much its clock differs from this computer's. */
export function answered(date: string | null) {
  const at = date ? Date.parse(date) : NaN
  if (!Number.isNaN(at) && Math.abs(at - Date.now() - skew) > 1500) skew = at - Date.now()
  set({ ...link, up: true, sinceMs: Date.now() })
}

/** unreachable notes that no answer came. */
export function unreachable() {
  set({ ...link, up: false })
}

/** streaming notes whether live changes come in. */
export function streaming(live: boolean) {
  set({ ...link, live, up: live ? true : link.up, sinceMs: live ? Date.now() : link.sinceMs })
}

/** serverNow is the server's present in UTC milliseconds, good to about a second. */
export const serverNow = () => Date.now() + skew

/** useLink re-renders when the server is lost or found. */
export function useLink(): Link {
  return useSyncExternalStore((f) => (listeners.add(f), () => listeners.delete(f)), () => link)
}
