import { nearest, sees, standing, type Dossier } from './dossier'

/** stages of the guide's course, in order. */
export const stages = ['detect', 'judge', 'contain', 'grade', 'report', 'handle', 'recover', 'close', 'learn'] as const
export type Stage = (typeof stages)[number]

/** Step is what to do next: the form to open, the panel it stands in, and the action it takes. */
export type Step = { stage: Stage; do: string; form: string; panel: string; needs: string }

const step = (stage: Stage, name: string, panel: string, needs: string, form = name): Step => ({ stage, do: name, form, panel, needs })

const asked = ['personal_information', 'endangering_flaw', 'crime_suspected']

/**
 * nextStep leads through an incident in the guide's order: stop the harm first, then say what it is and how grave,
 * report, handle, come back, close, learn. It only points; what is possible is the server's to say. A clock of
 * less than a quarter of an hour, or a report that is owed at once, comes before everything but stopping the harm, for
 * those who report. What the reader may not see is neither empty nor a step: see seesAll.
 */
export function nextStep(d: Dossier, nowMs: number, me: string, may: (action: string) => boolean = () => true): Step | undefined {
  const state = d.incident.state
  const open = state === 'declared' || state === 'responding'
  const inForce = d.orders.filter((o) => o.state === 'in_force')
  const owed = d.obligations.filter((o) => o.state === 'owed')
  const burning = nearest(owed)
  const submit = (o = burning ?? owed[0]) => step('report', 'submit', 'clocks', 'obligation.submit', `submit.${o.id}`)
  if (open && sees(d, 'orders') && d.orders.length === 0) return step('contain', 'order', 'orders', 'order.issue')
  if (burning && (burning.at_once || burning.due_ms - nowMs < 15 * 60_000) && may('obligation.submit')) return submit()
  const second = d.second_signatures.find((s) => s.state === 'requested' && s.requested_by !== me)
  if (second) return step('judge', 'second', 'seconds', '', `second.${second.id}`)
  if (open && !d.categories.some((c) => c.rank === 'primary')) return step('judge', 'categorise', 'level', 'incident.grade')
  if (open && d.level.working === 0) return step('grade', 'assess', 'level', 'incident.grade')
  if (open && d.plan_runs.length === 0) return step('handle', 'plan', 'plan', 'incident.handle')
  if (open && d.level.stage === 'preliminary') return step('grade', 'confirm', 'level', 'incident.grade', 'assess')
  if (owed.length > 0) return submit()
  const emergency = d.gate_reviews.find((r) => r.state === 'requested')
  if (emergency) return step('handle', emergency.direction === 'offline' ? 'ratify' : 'decide', 'orders', 'gatereview.decide', `review.${emergency.id}`)
  if (open) {
    if (d.fixes.length === 0) return step('handle', 'fix', 'fix', 'fix.write')
    const fixedMs = Math.max(...d.fixes.map((f) => f.fixed_ms))
    if (!d.service_tests.some((x) => x.started_ms >= fixedMs && (x.state === 'passed' || x.state === 'running'))) return step('handle', 'test', 'fix', 'servicetest.run')
    const offline = inForce.find((o) => o.rung === 'service_offline')
    if (offline) return step('recover', 'online', 'orders', 'gatereview.request', `online.${offline.id}`)
    if (inForce[0] && !d.second_signatures.some((s) => s.state === 'requested')) return step('recover', 'lift', 'orders', 'order.lift', `lift.${inForce[0].id}`)
  }
  if (state !== 'closed' && asked.some((name) => !d.facts.some((f) => f.name === name))) return step('report', 'fact', 'level', 'incident.grade')
  const undecided = d.obligations.find((o) => standing(o) && o.state !== 'owed')
  if (undecided && state !== 'closed') return step('report', 'strike', 'clocks', 'obligation.decide', `strike.${undecided.id}`)
  const task = d.tasks.find((x) => x.state === 'open')
  if (task) return step('handle', 'task', 'plan', 'task.do', `task.${task.id}`)
  if (state !== 'verifying' && state !== 'closed' && !seesAll(d)) return undefined // an order or a report may come first
  switch (state) {
    case 'responding':
      return step('recover', 'recover', 'closing', 'incident.handle')
    case 'recovering':
      return step('recover', 'end', 'closing', 'incident.handle')
    case 'ended':
      return step('close', 'apply', 'closing', 'closing.apply')
    case 'verifying':
      return step('close', 'verify', 'closing', 'closing.verify')
  }
  if (d.retrospectives.length === 0) return step('learn', 'retro', 'closing', 'retrospective.write')
  const action = d.actions.find((a) => a.state === 'open')
  return action && step('learn', 'action', 'closing', 'retrospective.write', `action.${action.id}`)
}

/** seesAll tells whether the reader may see all that decides what comes next; else no step need not mean that none is left. */
export const seesAll = (d: Dossier) => sees(d, 'orders') && sees(d, 'obligations')

/** unknownStages are those of which the reader may not see whether they lie behind. */
export function unknownStages(d: Dossier): Set<Stage> {
  const out = new Set<Stage>()
  if (!sees(d, 'orders') && !doneStages(d).has('contain')) out.add('contain')
  if (!sees(d, 'obligations')) out.add('report')
  return out
}

/** doneStages are the stages that lie behind, by what the dossier holds. */
export function doneStages(d: Dossier): Set<Stage> {
  const state = d.incident.state
  const after = (...s: string[]) => s.includes(state)
  const done: [Stage, boolean][] = [
    ['detect', true],
    ['judge', d.categories.some((c) => c.rank === 'primary')],
    ['contain', d.orders.length > 0 || after('ended', 'verifying', 'closed')],
    ['grade', d.level.working > 0 && d.level.stage !== 'preliminary'],
    ['report', sees(d, 'obligations') && d.level.working > 0 && !d.obligations.some((o) => o.state === 'owed' || o.state === 'decision')],
    ['handle', after('recovering', 'ended', 'verifying', 'closed')],
    ['recover', after('ended', 'verifying', 'closed')],
    ['close', state === 'closed'],
    ['learn', d.retrospectives.length > 0 && d.actions.every((a) => a.state !== 'open')],
  ]
  return new Set(done.filter(([, is]) => is).map(([s]) => s))
}
