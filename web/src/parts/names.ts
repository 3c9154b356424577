import { api } from '../api/client'

/** useServiceName gives the name of a service by its id; the id itself for who may not read services. */
export function useServiceName(): (id: string) => string {
  const { data } = api.useQuery('get', '/api/v1/services', {}, { staleTime: 60_000, retry: false })
  return (id) => data?.find((s) => s.id === id)?.name ?? id
}
