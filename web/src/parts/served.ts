import { useInfiniteQuery } from '@tanstack/react-query'
import { client } from '../api/client'
import { useListQuery, type Filter } from './list'

/** Paged is what a list operation answers: one page, how many there are in all, and counts by field. */
export type Paged<T> = { items: T[]; total: number; next: string; facets: Record<string, { value: string; count: number }[]> }

/** Choice is a filter that the server answers: label puts a value into words. */
export type Choice = { key: string; title: string; label: (value: string) => string }

/**
 * useServed reads a list that the server searches, filters and pages: path below /api/v1, such as /anomalies. What it gives
 * goes into <List>. Fixed narrows the list besides what people choose.
 */
export function useServed<T>(path: string, choices: [Choice, ...Choice[]], fixed: Record<string, string> = {}, exportName = path) {
  const at = useListQuery(choices.map((c) => c.key))
  const query = { ...at.query, ...fixed }
  const q = useInfiniteQuery({
    queryKey: ['get', `/api/v1${path}`, query],
    initialPageParam: '',
    queryFn: async ({ pageParam, signal }) => {
      const { data, error } = await client.GET(`/api/v1${path}` as never, { params: { query: { ...query, limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } }, signal } as never)
      if (error) throw error
      return data as Paged<T>
    },
    getNextPageParam: (last) => last.next || undefined,
    placeholderData: (old) => old, // the rows stay while a search is typed
  })
  const first = q.data?.pages[0]
  const filters = choices.map((c): Filter<T> => {
    const counts = first?.facets[c.key] ?? []
    const chosen = (at.values[c.key] ?? '').split(',').filter((v) => v && !counts.some((n) => n.value === v))
    return { key: c.key, title: c.title, options: [...counts.map((n) => ({ value: n.value, label: c.label(n.value) || '—', count: n.count })), ...chosen.map((value) => ({ value, label: c.label(value), count: 0 }))] }
  }) as [Filter<T>, ...Filter<T>[]]
  return {
    rows: q.data?.pages.flatMap((p) => p.items),
    total: first?.total ?? 0,
    list: {
      filters,
      error: q.error ?? undefined,
      loading: q.isLoading,
      reload: () => void q.refetch(),
      served: { total: first?.total ?? 0, next: q.hasNextPage ? 'more' : '', more: () => void q.fetchNextPage(), exportTo: `/exports${exportName}` },
    },
  }
}
