import { useQueryClient, type QueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { streaming, unreachable } from './link'

/** Change is one entry of the record that the person may see, as GET /api/v1/events sends it. */
export type Change = { seq: number; at_ms: number; action: string; kind: string; id: string; incident_id: string }

// Which reads a change of a kind makes stale. The overview, the incident it belongs to and what waits for a second
// person always are: a request is recorded under the kind that it is about.
const stale: Record<string, string[]> = {
  anomaly: ['/anomalies', '/complaints'],
  complaint: ['/complaints', '/anomalies'],
  incident: ['/incidents'],
  order: ['/orders', '/gate-reviews', '/gateways'],
  gate_review: ['/gate-reviews', '/orders'],
  nonconformity: ['/orders'],
  task: ['/incidents', '/tasks'],
  obligation: ['/incidents', '/obligations'],
  drill: ['/drills', '/plans/coverage'],
  plan: ['/plans'],
  lexicon: ['/lexicon'],
  service: ['/services', '/operators'],
  operator: ['/operators'],
  deployment: ['/services'],
  affected_object: ['/services'],
  gateway_key: ['/services'],
  person: ['/persons', '/me'],
  token: ['/persons', '/tokens', '/credentials'],
  invitation: ['/persons', '/credentials'],
  erasure: ['/record/erasures'],
  scope: ['/record/erasures'],
  setting: ['/settings'],
  channel: ['/channels'],
  oidc_provider: ['/oidc-providers', '/login/ways'],
  oidc_binding: ['/me/oidc', '/persons', '/credentials'],
  lexicon_entry: ['/lexicon'],
}

/** pathsOf gives the API paths below /api/v1 that a change makes stale. */
export function pathsOf(c: Pick<Change, 'kind' | 'incident_id'>): string[] {
  return ['/overview', '/search', '/second-signatures', `/${c.kind}s`, ...(stale[c.kind] ?? []), ...(c.incident_id ? ['/incidents'] : [])]
}

function refresh(queries: QueryClient, paths: Set<string>) {
  void queries.invalidateQueries({
    predicate: (q) => {
      const path = q.queryKey[1]
      return typeof path === 'string' && [...paths].some((p) => path === `/api/v1${p}` || path.startsWith(`/api/v1${p}/`))
    },
  })
}

/**
 * useLive listens for changes and has stale pages read anew. The browser reconnects by itself and names the last
 * change it saw, so that none is missed; after a long break the server says reset and everything is read anew.
 */
export function useLive() {
  const queries = useQueryClient()
  useEffect(() => {
    let source: EventSource
    let last = ''
    let again: ReturnType<typeof setTimeout>
    let soon: ReturnType<typeof setTimeout> | undefined
    let waiting = new Set<string>()
    const open = () => {
      source = new EventSource('/api/v1/events' + (last && `?after=${last}`))
      source.addEventListener('hello', () => {
        streaming(true)
      })
      source.addEventListener('reset', (e) => {
        last = e.lastEventId || last
        void queries.invalidateQueries()
      })
      source.addEventListener('change', (e) => {
        last = e.lastEventId
        const change = JSON.parse(e.data) as Change
        window.dispatchEvent(new CustomEvent<Change>('fengsui:change', { detail: change }))
        for (const p of pathsOf(change)) waiting.add(p)
        soon ??= setTimeout(() => {
          soon = undefined
          refresh(queries, waiting)
          waiting = new Set()
        }, 250)
      })
      source.onerror = () => {
        streaming(false)
        fetch('/readyz').catch(unreachable) // nothing else is asked while the page is only looked at
        if (source.readyState === EventSource.CLOSED) again = setTimeout(open, 3000) // refused, or a server that is starting
      }
    }
    open()
    return () => {
      source.close()
      clearTimeout(again)
      clearTimeout(soon)
      streaming(false)
    }
  }, [queries])
}
