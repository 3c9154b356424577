import assert from 'node:assert/strict'
import { test } from 'node:test'
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
