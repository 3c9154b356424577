import { api } from '../api/client'
import { useMay, useMe } from '../shell/session'

/** useServiceName gives the name of a service by its id; the id itself for who may not read services. */
export function useServiceName(): (id: string) => string {
  const { data } = api.useQuery('get', '/api/v1/services', {}, { staleTime: 60_000, retry: false })
  return (id) => data?.find((s) => s.id === id)?.name ?? id
}

/** usePersonName gives the name of a person by id, as far as one may know it; the end of the id for others. */
export function usePersonName(): (id: string) => string {
  const may = useMay()
  const me = useMe()
  const { data } = api.useQuery('get', '/api/v1/persons/directory', {}, { enabled: may('person.pick'), staleTime: 60_000 })
  return (id) => (id === me.id ? me.name : data?.find((p) => p.id === id)?.name ?? (id.length === 26 ? `…${id.slice(-6)}` : id))
}
