import { useQueryClient } from '@tanstack/react-query'
import { Spin } from 'antd'
import { createContext, useContext, useEffect, useMemo, useRef, type ReactNode } from 'react'
import { Navigate, useLocation } from 'react-router'
import { api, client, isProblem, type Schema } from '../api/client'
import { Failed } from '../parts/failed'
import { WithWords } from '../parts/word'
import { draftsBelongTo, forgetDrafts } from '../parts/draft'

/** Me is who is signed in. */
export type Me = Schema<'Me'>

const Person = createContext<Me | null>(null)

/** useMe is who is signed in; only inside <SignedIn>. */
export function useMe(): Me {
  const me = useContext(Person)
  if (!me) throw new Error('useMe outside SignedIn')
  return me
}

/** useMay tells whether the person may do an action such as `order.issue`. It hides what would be refused; the server decides. */
export function useMay(): (action: string) => boolean {
  const me = useMe()
  return (action) => me.actions.includes(action)
}

/** SignedIn shows its children to a known person, and sends others to the log-in page, which brings them back. */
export function SignedIn({ children }: { children: ReactNode }) {
  const at = useLocation()
  const queries = useQueryClient()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/me')
  useEffect(() => {
    const out = () => void queries.resetQueries({ queryKey: ['get', '/api/v1/me'] })
    window.addEventListener('fengsui:signed-out', out)
    return () => window.removeEventListener('fengsui:signed-out', out)
  }, [queries])
  const known = useRef('')
  useMemo(() => data && draftsBelongTo(data.id), [data?.id]) // before any form reads what was kept
  useEffect(() => {
    // Somebody else signed in by another tab: what this one has read was not for them.
    if (data && known.current && known.current !== data.id) void queries.resetQueries()
    if (data) known.current = data.id
  }, [data, queries])
  if (isProblem(error) && error.status === 401) return <Navigate to="/login" replace state={{ back: at.pathname + at.search, ended: known.current !== '' }} />
  if (data) return <Person key={data.id} value={data}><WithWords>{children}</WithWords></Person>
  if (error) return <Failed error={error} retry={() => void refetch()} />
  return <Spin fullscreen />
}

/** signOut ends the session here, or everywhere, and forgets what was typed. */
export async function signOut(everywhere: boolean) {
  await client.POST(everywhere ? '/api/v1/logout-everywhere' : '/api/v1/logout')
  forgetDrafts()
  location.assign('/console/login')
}
