import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { serious } from './axe.mjs'
import { en, menu, said, sizes, zh } from './desk.mjs'
import { alone } from './signs.mjs'

/** settled waits until a page shows what it is about: nothing spins and no request is under way. */
export async function settled(page) {
  await page.locator('h1').first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.ant-spin-spinning, .page-wait, .ant-skeleton-active'), undefined, { timeout: 15_000 })
  await page.evaluate(() => document.fonts.ready.then(() => undefined))
}

const plain = ['/complaint', '/complaint/status', '/status', '/welcome/no-such-link']

const colours = { colours: true } // all that the dark shade can change

// Each page is opened twice at the same time: by day with its lists and the other language, and by night and on a telephone.
// The tests below say what was found.
async function byDay(page, path, found) {
  await page.goto(path)
  await settled(page)
  found.failed.push(...(await page.locator('.ant-alert-error').allInnerTexts()).map((s) => `${path}: ${s}`))
  found.light.push(...(await serious(page)).map((s) => `${path}: ${s}`))
  const marks = await alone(page)
  found.alone.push(...marks.found.map((s) => `${path}: ${s}`))
  found.marks += marks.seen
}

async function byNight(page, path, found) {
  await page.setViewportSize(sizes.desk)
  await page.goto(path)
  await settled(page)
  assert.notEqual(await page.evaluate(() => document.documentElement.dataset.shade), 'light', path) // plain pages have none
  found.dark.push(...(await serious(page, colours)).map((s) => `${path}: ${s}`))
  await page.setViewportSize(sizes.phone)
  await settled(page)
  // Between the new size and its cards a list is as wide as its table: what counts is how it stays.
  await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth + 1, undefined, { timeout: 4000 }).catch(() => undefined)
  const [has, may] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  if (has > may + 1) found.wide.push(`${path}: ${has} px`)
  found.nights.push(path)
}

async function exported(page, list, at, found) {
  const [download] = await Promise.all([page.waitForEvent('download'), list.getByRole('button', { name: zh('common.export') }).click()])
  const failed = await download.failure()
  const csv = failed ? Buffer.from(failed) : readFileSync(await download.path())
  if (!csv.subarray(0, 3).equals(Buffer.from([0xef, 0xbb, 0xbf])) || !/\S+,\S+\r?\n/.test(csv.toString('utf8'))) found.lacking.push(`${at}: export ${download.url()} gives ${csv.subarray(0, 60)}`)
}

async function lists(page, path, found) {
  for (const list of await page.locator('section.list').all()) {
    const name = await list.getAttribute('aria-label')
    const at = `${path} “${name}”`
    found.lists.push(name)
    const search = list.getByLabel(zh('common.search_in', { name }))
    if ((await search.count()) !== 1) found.lacking.push(`${at}: search`)
    if ((await list.getByRole('combobox').count()) === 0) found.lacking.push(`${at}: filter`)
    await search.fill('zzqqxx不存在')
    const nothing = list.getByText(zh('common.empty_narrowed'))
    await nothing.waitFor().catch(() => found.lacking.push(`${at}: empty state`))
    await exported(page, list, `${at} narrowed`, found)
    await list.getByRole('button', { name: said(zh('common.clear_filters')) }).click()
    await nothing.waitFor({ state: 'hidden' })
    await exported(page, list, at, found)
  }
  const outside = await page.locator('[role=main] table:not(.plain)').evaluateAll((all) => all.filter((x) => !x.closest('section.list')).length)
  if (outside > 0) found.lacking.push(`${path}: ${outside} tables that are no lists`)
}

export function pages(desk) {
  const found = { failed: [], light: [], dark: [], alone: [], marks: 0, wide: [], lists: [], lacking: [], chinese: [], days: [], nights: [] }
  const places = menu().map(({ path, label }) => ({ path: `/console${path}`, label, who: path === '/record' ? 'auditor' : 'duty' })) // the record an officer on duty has not
  const open = ['/console/login', ...plain]

  async function days() {
    const at = { duty: await desk.as('duty'), auditor: await desk.as('auditor'), stranger: await (await desk.context()).newPage() }
    for (const { path, label, who } of places) {
      const page = at[who]
      await byDay(page, path, found)
      await lists(page, path, found)
      await page.getByTestId('language').click()
      await page.waitForFunction(() => document.documentElement.lang === 'en')
      const nav = await page.getByRole('navigation').first().innerText()
      if (/\p{Script=Han}/u.test(nav) || !nav.includes(en(label))) found.chinese.push(`${path}: ${nav}`)
      const heading = await page.locator('h1').first().innerText()
      if (/\p{Script=Han}/u.test(heading)) found.chinese.push(`${path}: ${heading}`)
      await page.getByTestId('language').click()
      found.days.push(path)
    }
    for (const path of open) {
      await byDay(at.stranger, path, found)
      found.days.push(path)
    }
    for (const page of Object.values(at)) await page.context().close()
  }

  async function nights() {
    const how = { shade: 'dark' }
    const at = { duty: await desk.as('duty', how), auditor: await desk.as('auditor', how), stranger: await (await desk.context(how)).newPage() }
    for (const { path, who } of places) await byNight(at[who], path, found)
    for (const path of open) await byNight(at.stranger, path, found)
    for (const page of Object.values(at)) await page.context().close()
  }

  test('every page of the menu and every plain page opens', { timeout: 300_000 }, async () => {
    for (const account of ['duty', 'auditor']) await (await desk.as(account)).context().close() // signed in once for both
    await Promise.all([days(), nights()])
    assert.deepEqual(found.days, [...places.map((p) => p.path), ...open])
    assert.deepEqual(found.nights, found.days)
  })

  test('no page has anything that failed to load', () => assert.deepEqual(found.failed, []))
  test('axe finds nothing serious on any page in the light shade', () => assert.deepEqual(found.light, []))
  test('axe finds nothing serious on any page in the dark shade', () => assert.deepEqual(found.dark, []))
  test('no colour carries meaning alone', () => {
    assert.deepEqual(found.alone, [])
    assert.ok(found.marks > 20, `${found.marks} coloured marks were seen`)
  })
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

  test('the look at colours finds a mark in which nothing is written, and two that differ in colour alone', async () => {
    const page = await desk.as('duty')
    await page.goto(`${desk.console}/anomalies`)
    await settled(page)
    await page.evaluate(() => {
      for (const [name, text] of [['late', ''], ['late', '之前'], ['calm', '之前']]) document.querySelector('[role=main]').append(Object.assign(document.createElement('span'), { className: `clock ${name}`, textContent: text }), ' ')
    })
    const { found } = await alone(page)
    assert.deepEqual(found.map((x) => x.split(':')[0]), ['nothing is written', 'the same in two colours'], found.join('\n'))
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
