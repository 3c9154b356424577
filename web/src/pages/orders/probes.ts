type Probe = { gateway_id: string; at_ms: number; effective: boolean; detail: string }

/** failing are the newest probes of each gateway that show the order not to hold: one gateway is enough. Probes are oldest first. */
export function failing<P extends Probe>(probes: P[]): P[] {
  const newest = new Map<string, P>()
  for (const p of probes) newest.set(p.gateway_id, p)
  return [...newest.values()].filter((p) => !p.effective)
}
