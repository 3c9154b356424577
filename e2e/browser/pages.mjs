import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { serious } from './axe.mjs'
import { en, menu, said, sizes, zh } from './desk.mjs'

/** settled waits until a page shows what it is about: nothing spins and no request is under way. */
export async function settled(page) {
  await page.locator('h1').first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.ant-spin-spinning, .page-wait, .ant-skeleton-active'), undefined, { timeout: 15_000 })
  await page.evaluate(() => document.fonts.ready.then(() => undefined))
}

const plain = ['/complaint', '/complaint/status', '/status', '/welcome/no-such-link']

// Each page is opened once and looked at from all sides; the tests below say what was found.
async function look(desk, page, path, found) {
  await page.setViewportSize(sizes.desk)
  await page.goto(path)
  await settled(page)
  for (const shade of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: shade })
    await page.waitForFunction((s) => document.documentElement.dataset.shade === s || !document.documentElement.dataset.shade, shade)
    found[shade].push(...(await serious(page)).map((s) => `${path}: ${s}`))
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize(sizes.phone)
  await settled(page)
  // Between the new size and its cards a list is as wide as its table: what counts is how it stays.
  await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth + 1, undefined, { timeout: 4000 }).catch(() => undefined)
  const [has, may] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  if (has > may + 1) found.wide.push(`${path}: ${has} px`)
  await page.setViewportSize(sizes.desk)
}

async function lists(page, path, found) {
  for (const list of await page.locator('section.list').all()) {
    const name = await list.getAttribute('aria-label')
    const at = `${path} “${name}”`
    found.lists.push(name)
    const search = list.getByLabel(zh('common.search_in', { name }))
    if ((await search.count()) !== 1) found.lacking.push(`${at}: search`)
    if (!path.endsWith('/me') && (await list.getByRole('combobox').count()) === 0) found.lacking.push(`${at}: filter`)
    await search.fill('zzqqxx不存在')
    await list.getByText(zh('common.empty_narrowed')).waitFor().catch(() => found.lacking.push(`${at}: empty state`))
    await list.getByRole('button', { name: said(zh('common.clear_filters')) }).click()
    const [download] = await Promise.all([page.waitForEvent('download'), list.getByRole('button', { name: zh('common.export') }).click()])
    const failed = await download.failure()
    const csv = failed ? Buffer.from(failed) : readFileSync(await download.path())
    if (!csv.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) || !/\S+,\S+\r?\n/.test(csv.toString('utf8'))) found.lacking.push(`${at}: export ${download.url()} gives ${csv.subarray(0, 60)}`)
  }
  const outside = await page.locator('[role=main] table:not(.plain)').evaluateAll((all) => all.filter((x) => !x.closest('section.list')).length)
  if (outside > 0) found.lacking.push(`${path}: ${outside} tables that are no lists`)
}

export function pages(desk) {
  const found = { light: [], dark: [], wide: [], lists: [], lacking: [], chinese: [] }

  test('every page of the menu and every plain page opens', { timeout: 300_000 }, async () => {
    const duty = await desk.as('duty')
    const auditor = await desk.as('auditor')
    for (const { path, label } of menu()) {
      const page = path === '/record' ? auditor : duty // which an officer on duty has not
      await look(desk, page, `/console${path}`, found)
      await lists(page, `/console${path}`, found)
      await page.getByTestId('language').click()
      await page.waitForFunction(() => document.documentElement.lang === 'en')
      const nav = await page.getByRole('navigation').first().innerText()
      if (/\p{Script=Han}/u.test(nav) || !nav.includes(en(label))) found.chinese.push(`${path}: ${nav}`)
      const heading = await page.locator('h1').first().innerText()
      if (/\p{Script=Han}/u.test(heading)) found.chinese.push(`${path}: ${heading}`)
      await page.getByTestId('language').click()
    }
    for (const page of [duty, auditor]) await page.context().close()
    const stranger = await (await desk.context()).newPage()
    for (const path of ['/console/login', ...plain]) await look(desk, stranger, path, found)
    await stranger.context().close()
  })

  test('axe finds nothing serious on any page in the light shade', () => assert.deepEqual(found.light, []))
  test('axe finds nothing serious on any page in the dark shade', () => assert.deepEqual(found.dark, []))
  test('on a telephone nothing is wider than the screen', () => assert.deepEqual(found.wide, []))
  test('the other language changes menu and heading of every page', () => assert.deepEqual(found.chinese, []))
  test('every list has search, filter, empty state and an export that a spreadsheet opens in Chinese', () => {
    assert.deepEqual(found.lacking, [])
    for (const must of ['menu.anomalies', 'menu.complaints', 'menu.orders', 'menu.gate_reviews']) assert.ok(found.lists.includes(zh(must)), `no list ${zh(must)} among ${found.lists}`)
  })

  test('the same look finds a planted defect', async () => {
    const page = await desk.as('duty')
    await page.goto(`${desk.console}/anomalies`)
    await settled(page)
    await page.evaluate(() => {
      const b = document.createElement('button')
      b.id = 'planted'
      document.querySelector('main, [role=main]').append(b)
    })
    const found = await serious(page)
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0], /^button-name #planted/)
    await page.context().close()
  })

  test('the first page costs less than 700 KB of download', async () => {
    const c = await desk.context()
    const page = await c.newPage()
    const cdp = await c.newCDPSession(page)
    await cdp.send('Network.enable')
    await cdp.send('Network.setCacheDisabled', { cacheDisabled: true })
    let bytes = 0
    const urls = new Map()
    cdp.on('Network.responseReceived', (e) => urls.set(e.requestId, e.response.url))
    cdp.on('Network.loadingFinished', (e) => urls.get(e.requestId)?.includes('/console') && (bytes += e.encodedDataLength))
    await page.goto(`${desk.console}/login`)
    await settled(page)
    await page.getByLabel(zh('login.account'), { exact: true }).fill('duty')
    await page.getByLabel(zh('login.password'), { exact: true }).fill(desk.password)
    await page.getByRole('button', { name: said(zh('login.enter')) }).click()
    await page.getByRole('heading', { level: 1, name: zh('menu.overview') }).waitFor()
    await settled(page)
    await page.waitForLoadState('networkidle').catch(() => undefined)
    console.log(`the first page transfers ${Math.round(bytes / 1024)} KB of the console`)
    assert.ok(bytes > 100 << 10, 'nothing was counted')
    assert.ok(bytes < 700 << 10, `${Math.round(bytes / 1024)} KB`)
    await c.close()
  })
}
