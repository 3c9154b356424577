import createFetch from 'openapi-fetch'
import createQuery from 'openapi-react-query'
import type { components, paths } from './schema'
import { language } from '../shell/language'
import { answered, unreachable } from '../shell/link'

/** Schema names a shape of the API document: Schema<'Incident'>. */
export type Schema<N extends keyof components['schemas']> = components['schemas'][N]

/** Problem is how the API says what went wrong (RFC 9457). Key `network` means that no answer came. */
export type Problem = { status: number; key: string; detail: string; field?: string; id?: string }

/** isProblem tells an answer of the API from anything else that is thrown. */
export function isProblem(e: unknown): e is Problem {
  return typeof e === 'object' && e !== null && 'key' in e && 'detail' in e
}

// A page that reads anew by itself keeps nobody signed in: after five minutes without a hand on it, its reads say so.
let touched = Date.now()
for (const sign of ['pointerdown', 'keydown', 'wheel', 'touchstart']) window.addEventListener(sign, () => (touched = Date.now()), { passive: true, capture: true })

async function call(request: Request): Promise<Response> {
  if (request.method === 'GET' && Date.now() - touched > 300_000) request.headers.set('Fengsui-Unattended', '1')
  request.headers.set('Accept-Language', language())
  try {
    const response = await fetch(request)
    // A proxy in front of a server that is down answers 502 or 504 without our problem document.
    const ours = response.headers.get('Content-Type')?.includes('json') || response.status < 500
    if (ours) answered(response.headers.get('Date'))
    else unreachable()
    // Who asks who is signed in learns it by the answer; saying so again would have it asked without end.
    if (response.status === 401 && !request.url.endsWith('/api/v1/me') && !location.pathname.startsWith('/console/login')) window.dispatchEvent(new Event('fengsui:signed-out'))
    return response
  } catch (e) {
    if (e instanceof DOMException && e.name === 'AbortError') throw e
    unreachable()
    throw { status: 0, key: 'network', detail: '' } satisfies Problem
  }
}

/** client calls the API by path, typed by its document. */
export const client = createFetch<paths>({ baseUrl: location.origin, fetch: call })

/** api is client as hooks: api.useQuery('get', '/api/v1/incidents/{id}', { params: { path: { id } } }). */
export const api = createQuery(client)
