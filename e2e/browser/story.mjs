import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// answer lets the model say something and gives the number of it.
async function answer(desk) {
  const key = readFileSync(join(desk.folder, 'demo-key.txt'), 'utf8').trim()
  const said = await fetch(`http://127.0.0.1:${desk.ports[1]}/v1/chat/completions`, {
    method: 'POST', headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ model: 'fengsui-sim-1', messages: [{ role: 'user', content: '这种药怎么样？' }] }),
  })
  await said.text()
  return said.headers.get('X-Fengsui-Content-Number')
}

/**
 * story puts something of everything into an instance by its API, for what looks at pages to find: a drill, an incident that
 * is being worked, a service that is off and whose review waits, a complaint with its open anomaly, one that was answered, and
 * a plan that waits for approval. It gives their ids.
 */
export async function story(desk) {
  const as = (role) => (method, path, body) => desk.call(role, method, path, body)
  const duty = as('duty_officer'), compliance = as('compliance'), safety = as('safety_engineer'), engineer = as('engineer')
  // The drill goes first: it stands still as soon as there is something real, and by then has steps to compare.
  const { id: drill } = await duty('POST', '/drills/run', { scenario: 'A.2' })
  for (let n = 0; ; n++) {
    const d = await duty('GET', `/drills/${drill}`)
    if (d.plan_steps.length > 0) break
    if (n > 240 || d.ended_ms) throw new Error(`the drill has no steps: ${d.state}`)
    await new Promise((soon) => setTimeout(soon, 250))
  }
  const [service] = await duty('GET', '/services')
  const complain = (text, about = service, content) => duty('POST', '/complaints', { service_id: about.id, kind: 'complaint', text, contact: '138', content_no: content })
  const told = await complain('它说一种药害死了人，请核实。', service, await answer(desk))
  const answered = await complain('请处理。')
  await duty('POST', `/complaints/${answered.id}/read`)
  await duty('POST', `/complaints/${answered.id}/answer`, { text: '已处理，向您致歉。' })

  await duty('POST', `/anomalies/${told.anomaly_id}/assess`)
  const { id } = await duty('POST', `/anomalies/${told.anomaly_id}/promote`, { title: '虚假药品信息' })
  const order = (body) => duty('POST', '/orders', { cause: 'incident', reason: '先控制影响', params: {}, ...body })
  const strict = await order({ cause_id: id, service_id: service.id, rung: 'strict_filter' })
  const blocked = await order({ cause_id: id, service_id: service.id, rung: 'topic_block', params: { topic_ids: ['rumour'] } })
  await duty('POST', `/incidents/${id}/awareness`, { source: 'alarm_seen', at_ms: Date.now() })
  await duty('POST', `/incidents/${id}/categories`, { guide_type: 'content.false', risk: 'A.1.g', rank: 'primary', part: 'manifestation' })
  await duty('POST', `/incidents/${id}/assessments`, { stage: 'preliminary', source: 'self', social_harm: '重大' })
  await duty('POST', `/incidents/${id}/plan`)
  await duty('POST', `/incidents/${id}/fact-checks`, { claim: '某药品害死了病人', source: '药品数据库', verdict: 'false' })
  await compliance('POST', `/incidents/${id}/statements`, { audience: 'public', text: '该说法不实，请勿传播。' })
  await engineer('POST', `/incidents/${id}/fixes`, { cause: '模型缺陷', measure: '关闭缺陷开关' })
  await duty('POST', `/orders/${strict.id}/lift`, { reason: '已修复' })

  const [operator] = await duty('GET', '/operators')
  const { service: off } = await safety('POST', '/services', { operator_id: operator.id, name: '备用服务', model_name: 'm' })
  const letter = await complain('它又说了一遍。', off)
  const { id: dark } = await duty('POST', '/incidents', { service_id: off.id, title: '备用服务下线', kind: 'real', aware_source: 'declared' })
  const taken = await order({ cause_id: dark, service_id: off.id, rung: 'service_offline' })
  await compliance('POST', `/incidents/${dark}/hold`, { reason: '需要留存' })
  const { yaml } = await duty('GET', '/plans/general-1/versions/1')
  await safety('POST', '/plans', { yaml: yaml.replace(/\bgeneral-1\b/g, 'another-1') })
  const { number } = (await duty('GET', `/incidents/${id}`)).incident
  return { drill, service, told, letter, answered, incident: id, number, order: blocked, off, dark, taken, plan: 'another-1' }
}
