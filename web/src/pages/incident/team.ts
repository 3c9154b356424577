import type { Dossier } from './dossier'

export const partNames = ['declared', 'graded', 'ordered', 'reported', 'tasks', 'said', 'checked', 'fixed', 'tested', 'reviewed', 'closed', 'learnt'] as const
export type PartName = (typeof partNames)[number]

/** partsOf lists who did what in an incident, in the order in which the guide has it done. Nobody but persons is in it. */
export function partsOf(d: Dossier): [string, PartName[]][] {
  const did: Record<PartName, (string | undefined)[]> = {
    declared: [d.incident.declared_by],
    graded: [...d.assessments.flatMap((a) => [a.assessed_by, a.second_by]), ...d.cac_grades.map((a) => a.assessed_by), ...d.categories.map((c) => c.set_by)],
    ordered: d.orders.map((o) => o.issued_by),
    reported: d.obligations.flatMap((o) => [o.submitted_by, o.decided_by]),
    tasks: d.tasks.map((x) => x.done_by),
    said: d.statements.flatMap((s) => [s.drafted_by, s.approved_by]),
    checked: [...d.fact_checks.map((c) => c.checker), ...d.impacts.map((m) => m.assessed_by), ...d.spread.map((s) => s.found_by)],
    fixed: d.fixes.map((f) => f.fixed_by),
    tested: d.service_tests.map((x) => x.run_by),
    reviewed: [...d.gate_reviews.map((r) => r.decided_by), ...d.second_signatures.map((s) => s.decided_by)],
    closed: d.closings.flatMap((c) => [c.applied_by, c.verified_by]),
    learnt: [...d.retrospectives.map((r) => r.held_by), ...d.actions.map((a) => a.done_by)],
  }
  const out = new Map<string, PartName[]>()
  for (const part of partNames) for (const who of new Set(did[part])) if (who && d.names[who]) out.set(who, [...(out.get(who) ?? []), part])
  return [...out]
}

/** rolesWaited counts the open tasks of each role. */
export function rolesWaited(d: Pick<Dossier, 'tasks'>): [string, number][] {
  const n = new Map<string, number>()
  for (const x of d.tasks) if (x.state === 'open') n.set(x.role, (n.get(x.role) ?? 0) + 1)
  return [...n]
}
