import { useQueryClient } from '@tanstack/react-query'
import { createContext, useContext } from 'react'
import { useTranslation } from '../../shell/language'
import { api, type Schema } from '../../api/client'

export type Dossier = Schema<'FlowDossier'>
export type Duty = Schema<'Obligation'>
export type Order = Schema<'ContainmentOrder'>

/** Open says which form a key or the next step has opened, such as `order` or `submit.ID`. */
type Here = { d: Dossier; id: string; open: string; setOpen: (form: string) => void; refresh: () => void }

const Incident = createContext<Here | null>(null)
export const HereProvider = Incident.Provider

/** useHere is the incident that the page shows; only inside it. */
export function useHere(): Here {
  const here = useContext(Incident)
  if (!here) throw new Error('useHere outside the incident page')
  return here
}

/** useDossier reads an incident whole, and gives a way to read it again after something was done. */
export function useDossier(id: string) {
  const queries = useQueryClient()
  const q = api.useQuery('get', '/api/v1/incidents/{id}', { params: { path: { id } } })
  const refresh = () =>
    void queries.invalidateQueries({
      predicate: ({ queryKey: [, path] }) => typeof path === 'string' && /^\/api\/v1\/(incidents|orders|second-signatures|messages)/.test(path),
    })
  return { ...q, refresh }
}

/** useWho names a person by id; what is not a person is a part of the system. */
export function useWho(): (id: string | undefined) => string {
  const { t } = useTranslation()
  const { d } = useHere()
  return (id) => (id ? (d.names[id] ?? t('incident.system')) : '')
}

/** standing tells whether a duty's clock still runs. */
export const standing = (o: Duty) => o.state === 'pending' || o.state === 'owed' || o.state === 'decision'

/** nearest is the duty to look at first; the server has put them in the order in which they press. */
export function nearest(duties: Duty[]): Duty | undefined {
  return duties.find((o) => standing(o) && (o.at_once || o.due_ms > 0))
}

/** sees tells whether the reader may see a part; what they may not see is empty here and says nothing. */
export const sees = (d: Dossier, part: 'anomalies' | 'obligations' | 'orders') => !d.unseen.includes(part)
