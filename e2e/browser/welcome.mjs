import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serious } from './axe.mjs'
import { code, signIn } from './desk.mjs'
import { alone } from './signs.mjs'

/** welcome sets up an administrator by the one-time link, looks at its pages, and leaves the administrator signed in as secadmin. */
export function welcome(desk) {
  test('axe finds nothing serious on the pages behind a one-time link', { timeout: 60_000 }, async () => {
    const found = []
    const look = async (what) => found.push(...[...(await serious(page)), ...(await alone(page)).found].map((x) => `${what}: ${x}`))
    const c = await desk.context()
    const page = await c.newPage()
    await page.goto(desk.link('security_admin'))
    await look('the account')
    await page.locator('input[name=account]').fill('secadmin')
    for (const name of ['password', 'again']) await page.locator(`input[name=${name}]`).fill('a long enough password')
    await page.locator('form button').first().click()
    const secret = (await page.locator('dl code').first().textContent()).trim()
    await look('the code')
    await page.locator('input[name=code]').fill(code(secret))
    await page.locator('form button').first().click()
    await page.locator('a[href="/console/"]').first().waitFor()
    await look('the end')
    await c.clearCookies()
    await signIn(page, desk, 'secadmin', 'a long enough password', () => code(secret, 1))
    desk.states.secadmin = await c.storageState()
    await c.close()
    assert.deepEqual(found, [])
  })
}
