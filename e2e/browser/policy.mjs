import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { said, zh } from './desk.mjs'
import { settled } from './pages.mjs'

// What somebody might write to have it run or drawn in a colleague's browser.
const markup = [`<img src=x onerror="window.ran='img'">`, `<script>window.ran='script'</script>`, `"><svg onload="window.ran='svg'">`, `'"><b id=planted>`]

export function policy(desk) {
  test('markup in complaints, names, titles and prompts is shown as the text that it is', { timeout: 120_000 }, async () => {
    const evil = markup.join(' ')
    const c = await desk.context()
    const outside = await c.newPage()
    await outside.goto(`${desk.url}/complaint`)
    await outside.locator('textarea[name=text]').fill(evil)
    await outside.locator('input[name=contact]').fill(evil.slice(0, 180))
    await outside.locator('form button').click()
    const number = (await outside.locator('dl code').first().textContent()).trim()
    // A name that breaks out of an attribute, where the plain pages show it.
    await outside.goto(`${desk.url}/complaint?text=${encodeURIComponent(evil)}&content=${encodeURIComponent(evil)}`)
    assert.equal(await outside.locator('#planted').count(), 0)
    await c.close()
    const [service] = await desk.call('duty_officer', 'GET', '/services')
    const { id } = await desk.call('duty_officer', 'POST', '/incidents', { service_id: service.id, title: evil, kind: 'real', aware_source: 'declared' })
    await desk.call('duty_officer', 'POST', `/incidents/${id}/fact-checks`, { claim: evil, source: evil, verdict: 'false' })
    await desk.call('compliance', 'POST', `/incidents/${id}/statements`, { audience: 'public', text: evil })
    const complaint = (await desk.call('duty_officer', 'GET', `/complaints?q=${number}`)).items.find((x) => x.number === number)
    const page = await desk.as('duty')
    for (const [path, shown] of [['/incidents', evil], [`/incidents/${id}`, evil], [`/complaints/${complaint.id}`, evil], ['/', markup[0]], ['/seconds', '']]) {
      await page.goto(`${desk.console}${path}`)
      await settled(page)
      if (shown) await page.getByText(shown).first().waitFor()
      assert.equal(await page.locator('#planted').count(), 0, path)
      assert.equal(await page.evaluate(() => window.ran), undefined, path)
    }
    await page.goto(`${desk.url}/incidents/${id}/print`)
    assert.equal(await page.locator('#planted').count(), 0)
    assert.ok((await page.locator('body').innerText()).includes(markup[1]))
    assert.equal(await page.evaluate(() => window.ran), undefined)
    await page.context().close()
  })

  test('markup in what a model was asked and answered, and in every name and reason, is shown as the text that it is', { timeout: 240_000 }, async () => {
    const evil = markup.join(' ')
    const short = markup[0] // where a field takes little
    const call = (...x) => desk.call(...x)
    // Asked and answered through the gateway: it becomes evidence, which somebody uncovers.
    await desk.fault('false_medicine')
    const key = readFileSync(join(desk.folder, 'demo-key.txt'), 'utf8').trim()
    const ask = (user) => fetch(`http://127.0.0.1:${desk.ports[1]}/v1/chat/completions`, {
      method: 'POST', headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ model: 'fengsui-sim-1', user, messages: [{ role: 'user', content: `安舒宁这种药怎么样？${evil}` }] }),
    }).then((r) => r.text())
    for (const n of [1, 2, 3, 4]) await ask(`markup-${n}`)
    let anomaly
    for (let n = 0; !anomaly && n < 120; n++) {
      anomaly = (await call('duty_officer', 'GET', '/anomalies?state=open,assessing')).items.find((x) => x.risk === 'A.1.g')
      await new Promise((soon) => setTimeout(soon, 250))
    }
    assert.ok(anomaly, 'what was asked raised no anomaly')
    await desk.fault()
    if (anomaly.state === 'open') await call('duty_officer', 'POST', `/anomalies/${anomaly.id}/assess`)
    const { id: told } = await call('duty_officer', 'POST', `/anomalies/${anomaly.id}/promote`, { title: evil })
    const evidence = (await call('duty_officer', 'GET', `/incidents/${told}`)).evidence

    // Names and reasons, wherever people may write them.
    const operator = await call('safety_engineer', 'POST', '/operators', { name: evil, province: short, kind: 'other' })
    const { service } = await call('safety_engineer', 'POST', '/services', { operator_id: operator.id, name: evil, model_name: short })
    await call('safety_engineer', 'POST', `/services/${service.id}/deployments`, { name: short, model_version: short, upstream_url: `${desk.model}/v1`, upstream_model: short, role: 'primary', route: short })
    const object = await call('safety_engineer', 'POST', `/services/${service.id}/objects`, { kind: 'model', name: short })
    await call('safety_engineer', 'POST', `/objects/${object.id}/importance`, { level: '一般', ground: evil })
    await call('safety_engineer', 'POST', `/services/${service.id}/keys`, { tenant: short, user_group: short, traffic_kind: 'test', label: short })
    const { id } = await call('duty_officer', 'POST', '/incidents', { service_id: service.id, title: evil, kind: 'real', aware_source: 'declared' })
    await call('duty_officer', 'POST', `/incidents/${id}/awareness`, { source: 'alarm_seen', at_ms: Date.now(), ref: evil })
    await call('engineer', 'POST', `/incidents/${id}/fixes`, { cause: evil, measure: evil })
    await call('duty_officer', 'POST', `/incidents/${id}/spread`, { platform: short, location: evil })
    await call('compliance', 'POST', '/directives', { operator_id: operator.id, incident_id: id, authority: evil, text: evil })
    const strict = await call('duty_officer', 'POST', '/orders', { cause: 'incident', cause_id: id, service_id: service.id, rung: 'strict_filter', reason: evil, params: {} })
    await call('duty_officer', 'POST', `/orders/${strict.id}/lift`, { reason: evil })
    const off = await call('duty_officer', 'POST', '/orders', { cause: 'incident', cause_id: id, service_id: service.id, rung: 'service_offline', reason: evil, params: { notice_zh: evil, notice_en: evil } })
    const [review] = await call('management', 'GET', `/gate-reviews?order_id=${off.id}`)
    await call('management', 'POST', `/gate-reviews/${review.id}/ratify`, { approve: true, reason: evil })
    const { yaml } = await call('duty_officer', 'GET', '/plans/general-1/versions/1')
    const title = JSON.stringify(evil)
    await call('safety_engineer', 'POST', '/plans', { yaml: yaml.replace(/\bgeneral-1\b/g, 'markup-1').replace(/^title:.*(\n .*)*/m, () => `title: {zh: ${title}, en: ${title}}`) })

    const page = await desk.as('duty')
    const clean = async (path) => {
      assert.equal(await page.locator('#planted').count(), 0, path)
      assert.equal(await page.evaluate(() => window.ran), undefined, path)
    }
    const see = async (path, shown) => {
      await page.goto(path)
      await settled(page)
      for (const text of shown) await page.getByText(text).first().waitFor().catch((e) => assert.fail(`${path} does not show ${text}: ${e.message.split('\n')[0]}`))
      await clean(path)
    }
    const console = (path) => `${desk.console}${path}`
    await see(console(`/incidents/${told}`), [evil])
    let uncovered = ''
    for (const e of evidence) {
      // Why it was judged as it was is told without unmasking, so nothing that was asked or answered may stand there.
      await page.getByRole('button', { name: `${zh('verdict.why')} ${e.content_no}` }).click()
      const why = page.getByRole('dialog').filter({ visible: true })
      await why.getByText(zh('verdict.texts')).first().waitFor()
      const reasons = await why.innerText()
      assert.ok(reasons.includes('starter-medical-001') && !reasons.includes('安舒宁') && !reasons.includes(markup[0]), reasons)
      await page.keyboard.press('Escape')
      await why.waitFor({ state: 'hidden' })
      await page.getByRole('button', { name: `${zh('incident.unmask')} ${e.content_no}` }).click()
      const form = page.getByRole('dialog').filter({ visible: true })
      await form.getByRole('textbox').fill(evil)
      await form.getByRole('button', { name: said(zh('common.submit')) }).click()
      await form.waitFor({ state: 'hidden' })
      const capsule = page.getByRole('listitem').filter({ hasText: e.content_no })
      const covered = capsule.locator('button[aria-expanded=false]')
      while ((await covered.count()) > 0) await covered.first().click()
      uncovered += await capsule.innerText()
      await clean('the evidence')
      if (uncovered.includes(markup[0])) break
    }
    assert.ok(uncovered.includes(markup[0]), `no evidence shows what was asked: ${uncovered}`)
    await see(console(`/incidents/${id}`), [evil])
    await see(console('/services'), [evil])
    await see(console(`/services/${service.id}`), [evil])
    await see(console(`/orders/${strict.id}`), [markup[0]])
    await see(console(`/orders/${off.id}`), [markup[0]])
    await see(console('/gate-reviews'), [markup[0]])
    await see(console('/plans/markup-1'), [markup[0]])
    for (const path of ['/', '/seconds', '/orders', '/anomalies', '/settings/messages', '/settings/keys']) await see(console(path), [])
    await see(`${desk.url}/notice/${service.id}`, [markup[0]])
    await see(`${desk.url}/complaint?service=${service.id}`, [])
    await see(`${desk.url}/incidents/${id}/print`, [markup[1]])
    await see(`${desk.url}/incidents/${told}/print`, [markup[1]])
    await see(`${desk.url}/status`, [])
    // Found by the search, and said in the timeline.
    await page.goto(console('/'))
    await settled(page)
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').getByRole('textbox').fill('onerror')
    await page.getByRole('dialog').getByText(markup[0]).first().waitFor()
    await clean('the search')
    await page.context().close()

    // A person's name is shown to who manages people.
    assert.ok(desk.states.secadmin, 'no administrator has signed in')
    const admin = await desk.as('secadmin')
    const added = await admin.request.post('/api/v1/persons', { data: { name: evil.slice(0, 100), roles: ['auditor'] } })
    assert.ok(added.ok(), await added.text())
    await admin.goto(console('/settings/people'))
    await settled(admin)
    await admin.getByText(markup[0]).first().waitFor()
    assert.equal(await admin.locator('#planted').count(), 0)
    assert.equal(await admin.evaluate(() => window.ran), undefined)
    await admin.context().close()
  })

  test('an inline script and an inline style are stopped by the policy and reported', async () => {
    // The control of what the whole run holds: violations kept apart from those of the run.
    const c = await desk.context({ watch: false })
    const seen = []
    await desk.watch(c, seen)
    const page = await c.newPage()
    const reports = []
    page.on('request', (r) => r.url().endsWith('/csp-report') && reports.push(r.postData()))
    await page.goto(`${desk.console}/login`)
    const before = desk.said.length
    await page.evaluate(() => {
      const s = document.createElement('div')
      s.innerHTML = '<img src="x:" onerror="window.ran = true"><p style="color: red">x</p>'
      document.body.append(s)
    })
    await page.waitForFunction(() => true)
    for (let n = 0; n < 100 && !desk.said.slice(before).includes('content security policy broken'); n++) await page.waitForTimeout(50)
    assert.equal(await page.evaluate(() => window.ran), undefined)
    assert.ok(seen.some((v) => v.includes('script-src')) && seen.some((v) => v.includes('style-src')), seen.join('\n'))
    assert.match(desk.said.slice(before), /content security policy broken/)
    desk.said = desk.said.slice(0, before) // what the control provoked is no finding of the run
    await c.close()
  })
}

/** whole is the last test of a desk. */
export function whole(desk) {
  test('through all of this no page broke, and nothing was forbidden by the content security policy', () => {
    assert.deepEqual(desk.broken, [])
    assert.deepEqual(desk.violations, [])
    assert.doesNotMatch(desk.said, /content security policy broken/)
  })
}
