type Headers = { 'Idempotency-Key': string }
type Sent = Promise<{ error?: unknown; data?: unknown }>

/**
 * assessed decides about an anomaly, and begins its assessment first if nobody has: one press for both. The second is
 * sent only when the first succeeded; each has its own key, so that pressing again after a lost connection does nothing twice.
 */
export async function assessed(state: string, headers: Headers, assess: (h: Headers) => Sent, decide: (h: Headers) => Sent): Sent {
  if (state === 'open') {
    const first = await assess({ 'Idempotency-Key': `${headers['Idempotency-Key']}-assess` })
    if (first.error) return first
  }
  return decide(headers)
}

/** typedIn gives what somebody wrote into a form, of its kept draft. */
export const typedIn = (draft: Record<string, unknown> | undefined) => Object.values(draft ?? {}).filter((v): v is string => typeof v === 'string' && v.trim() !== '').join('\n')
