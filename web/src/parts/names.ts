import { useSyncExternalStore } from 'react'
import { api, client } from '../api/client'
import { useMe } from '../shell/session'

/** useServiceName gives the name of a service by its id; the id itself for who may not read services. */
export function useServiceName(): (id: string) => string {
  const { data } = api.useQuery('get', '/api/v1/services', {}, { staleTime: 60_000, retry: false })
  return (id) => data?.find((s) => s.id === id)?.name ?? id
}

// Names by id, for as long as the page is open. Ids that were asked for within one moment are looked up together.
let names: Record<string, string> = {}
let wanted = new Set<string>()
const asked = new Set<string>()
const hearers = new Set<() => void>()

function want(id: string) {
  if (asked.has(id) || id.length !== 26) return // the system's own names are no ids
  asked.add(id)
  if (wanted.size === 0) setTimeout(() => void lookUp(), 20)
  wanted.add(id)
}

async function lookUp() {
  const ids = [...wanted].slice(0, 100)
  wanted = new Set([...wanted].slice(100))
  if (wanted.size > 0) setTimeout(() => void lookUp(), 20)
  const { data } = await client.GET('/api/v1/persons/names', { params: { query: { ids: [ids.join(',')] } } }).catch(() => ({ data: undefined }))
  if (!data) return ids.forEach((id) => asked.delete(id)) // asked again when it is next shown
  names = { ...names, ...Object.fromEntries(data.map((p) => [p.id, p.name])) }
  hearers.forEach((tell) => tell())
}

const hear = (tell: () => void) => {
  hearers.add(tell)
  return () => void hearers.delete(tell)
}

/** usePersonName gives the name of a person by id; the end of the id until it is known. */
export function usePersonName(): (id: string) => string {
  const me = useMe()
  const known = useSyncExternalStore(hear, () => names)
  return (id) => {
    if (id === me.id) return me.name
    if (known[id] === undefined) want(id)
    return known[id] ?? (id.length === 26 ? `…${id.slice(-6)}` : id)
  }
}
