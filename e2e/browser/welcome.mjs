import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serious } from './axe.mjs'
import { code, signIn } from './desk.mjs'
import { alone } from './signs.mjs'

/** enrol sets up an administrator by the one-time link of a role, and leaves them signed in under an account. Each page is shown to look. */
export async function enrol(desk, role, account, look = async () => {}) {
  const c = await desk.context()
  const page = await c.newPage()
  await page.goto(desk.link(role))
  await look(page, 'the account')
  await page.locator('input[name=account]').fill(account)
  for (const name of ['password', 'again']) await page.locator(`input[name=${name}]`).fill('a long enough password')
  await page.locator('form button').first().click()
  const secret = (await page.locator('dl code').first().textContent()).trim()
  await look(page, 'the code')
  await page.locator('input[name=code]').fill(code(secret))
  await page.locator('form button').first().click()
  await page.locator('a[href="/console/"]').first().waitFor()
  await look(page, 'the end')
  await c.clearCookies()
  await signIn(page, desk, account, 'a long enough password', () => code(secret, 1))
  desk.states[account] = await c.storageState()
  await c.close()
}

/** welcome looks at the pages behind a one-time link, and leaves an administrator signed in as secadmin. */
export function welcome(desk) {
  test('axe finds nothing serious on the pages behind a one-time link', { timeout: 60_000 }, async () => {
    const found = []
    await enrol(desk, 'security_admin', 'secadmin', async (page, what) => found.push(...[...(await serious(page)), ...(await alone(page)).found].map((x) => `${what}: ${x}`)))
    assert.deepEqual(found, [])
  })
}
