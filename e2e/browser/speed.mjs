// Measures the console in the browser and writes what it found as JSON: node speed.mjs TASK.json. The task says where
// the instances are, what they hold and how often to measure; see bench/console.go.
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { launched, said, signIn, sizes, zh } from './desk.mjs'

const task = JSON.parse(readFileSync(process.argv[2], 'utf8'))
let words // the server's
const found = [] // { instance, page, run, ready, server, total, task, click }
const browser = await chromium.launch(launched)
try {
  for (const i of task.instances) i.state = await enter(i)
  const loads = []
  for (let run = 0; run < task.runs; run++) {
    for (const i of task.instances) {
      console.error(`       console, ${i.name}, run ${run + 1} of ${task.runs}`)
      await round(i, run)
      loads.push({ instance: i.name, ...(await load(i)) })
    }
  }
  process.stdout.write(JSON.stringify({ found, loads, browser: browser.version() }))
} finally {
  await browser.close()
}

async function context(state) {
  const c = await browser.newContext({ viewport: sizes.desk, locale: 'zh-CN', timezoneId: 'Asia/Shanghai', reducedMotion: 'reduce', storageState: state })
  c.setDefaultTimeout(60_000)
  await c.addInitScript(inside)
  return c
}

async function enter(i) {
  const c = await context()
  const page = await c.newPage()
  await signIn(page, { console: `${i.url}/console` }, task.account, task.password)
  const state = await c.storageState()
  await c.close()
  return state
}

// load is a first visit with an empty cache: how many bytes come over the wire until the overview is usable.
async function load(i) {
  const c = await context(i.state)
  const page = await c.newPage()
  const net = await c.newCDPSession(page)
  const urls = new Map()
  const sizes = { console: 0, api: 0 }
  net.on('Network.responseReceived', (e) => urls.set(e.requestId, e.response.url))
  net.on('Network.loadingFinished', (e) => (sizes[new URL(urls.get(e.requestId) ?? i.url).pathname.startsWith('/api/') ? 'api' : 'console'] += e.encodedDataLength))
  await net.send('Network.enable')
  await page.goto(`${i.url}/console/`)
  await usable(page, ['/api/v1/overview'], 'overview', { incidents: i.incidents })
  await page.waitForTimeout(300) // what is still under way
  await c.close()
  return sizes
}

// round visits the pages one after the other in a tab of its own, as somebody does who comes in; nothing is asked for
// twice, so nothing comes from the tab's memory.
async function round(i, run) {
  const c = await context(i.state)
  const page = await c.newPage()
  const note = async (name, needs, check, want) => found.push({ instance: i.name, page: name, run, ...(await usable(page, needs, check, want)) })
  const arm = () => page.evaluate(() => speed.arm())
  const menu = async (label) => {
    await page.getByRole('navigation').first().getByRole('link', { name: zh(label), exact: true }).evaluate((link) => (speed.arm(), link.click()))
  }
  await page.goto(`${i.url}/console/`)
  await note('overview: opened anew', ['/api/v1/overview'], 'overview', { incidents: i.incidents })

  for (const l of i.lists) {
    const list = `/api/v1${l.path}`
    const name = zh(l.label)
    await menu(l.menu)
    const total = l.total < 0 ? undefined : l.total
    await note(`${l.name}: first page`, [list], 'list', { name, total, rows: Math.min(total ?? 50, 50) })
    if (l.total < 0 || l.total > 50) {
      await page.getByRole('button', { name: said(zh('common.more')) }).evaluate((b) => (speed.arm(), b.click()))
      await note(`${l.name}: next page`, [list], 'list', { name, total, rows: Math.min(total ?? 100, 100) })
    }
    const box = page.locator('section.list').first()
    if (l.search) {
      const { q, total } = l.search[run % l.search.length]
      const field = box.locator('.list-search input')
      await field.fill(q)
      await arm()
      await field.press('Enter')
      await note(`${l.name}: search`, [list], 'list', { name, total, rows: Math.min(total, 50) })
      await field.fill('')
      await field.press('Enter')
      await usable(page, [], 'list', { name, total: l.total })
    }
    if (l.filter?.total > 0) {
      const text = await label(i, l.filter)
      const choice = box.getByRole('combobox', { name: zh('common.filter_by', { name: zh(l.filter.title) }) })
      await choice.click()
      await choice.fill(text) // of many values only some are in the document
      const option = page.locator('.ant-select-dropdown:visible .ant-select-item-option').filter({ hasText: text }).first()
      await option.waitFor()
      await option.evaluate((o) => (speed.arm(), o.click()))
      await note(`${l.name}: filter`, [list], 'list', { name, total: l.filter.total, rows: Math.min(l.filter.total, 50) })
      await page.keyboard.press('Escape')
    }
  }

  // The desk of the incident with the longest story, from the list of incidents.
  await menu('menu.incidents')
  const name = zh('menu.incidents')
  await usable(page, [], 'list', { name })
  const field = page.locator('section.list .list-search input')
  await field.fill(i.busy.number)
  await field.press('Enter')
  await usable(page, [], 'list', { name, total: i.busy.alike, rows: i.busy.alike })
  await page.locator('section.list tbody tr.list-row').filter({ has: page.getByText(i.busy.number, { exact: true }) }).evaluate((row) => (speed.arm(), row.click()))
  await note('incident: desk', [`/api/v1/incidents/${i.busy.id}`], 'desk', { number: i.busy.number })
  await note('incident: whole timeline', [`/api/v1/incidents/${i.busy.id}/timeline`], 'story', { moments: i.busy.moments, first: 1 })
  await page.evaluate(() => {
    const box = document.querySelector('.story')
    speed.arm()
    box.scrollTop = box.scrollHeight
  })
  await note('incident: scroll to the oldest', [], 'story', { moments: i.busy.moments, last: true })
  const words = page.locator('.story-search input')
  await arm()
  await words.pressSequentially('值')
  await note('incident: search the timeline', [], 'story', { fewer: i.busy.moments })
  await c.close()
}


/** label is the server's own word for a value. */
async function label(i, { group, value }) {
  words ??= (await (await fetch(`${i.url}/api/v1/reference`, { headers: { Cookie: i.state.cookies.map((c) => `${c.name}=${c.value}`).join('; ') } })).json()).words
  return words[`${group}.${value}`].zh
}

async function usable(page, needs, check, want) {
  const r = await page.evaluate(({ needs, check, want }) => speed.usable(needs, check, want), { needs, check, want })
  if (r.wrong) throw new Error(`${page.url()} does not show what it should (${check} ${JSON.stringify(want)}): ${r.wrong}`)
  return r
}

// inside runs in each page before anything else.
function inside() {
  performance.setResourceTimingBufferSize(5000)
  const state = { from: 0, tasks: [] }
  new PerformanceObserver((list) => state.tasks.push(...list.getEntries())).observe({ type: 'longtask', buffered: true })
  const next = () => new Promise((now) => requestAnimationFrame(now))
  const idle = () => new Promise((now) => requestIdleCallback(now, { timeout: 5000 }))
  const number = (text) => [...(text ?? '').matchAll(/\d+/g)].map(Number)

  // Each says what is wrong, or '' when the page shows what it should.
  const checks = {
    list({ name, total, rows }) {
      const box = document.querySelector(`section.list[aria-label="${name}"]`)
      if (!box || box.querySelector('.ant-spin-spinning')) return 'no list yet'
      const shown = box.querySelectorAll('tbody tr.list-row').length
      const said = number(box.querySelector('.list-count')?.textContent)
      if (said.length !== 2) return 'no count'
      if (total !== undefined && said[1] !== total) return `it says ${said} of ${total}`
      if (said[0] !== shown) return `it says ${said} and shows ${shown}`
      return rows !== undefined && shown !== rows ? `${shown} rows of ${rows}` : ''
    },
    overview({ incidents }) {
      if (document.querySelector('.page-wait')) return 'it waits'
      const rows = [...document.querySelectorAll('.ant-card')].find((c) => c.querySelector('a[href$="/incidents"]'))?.querySelectorAll('tbody tr').length ?? 0
      return rows === Math.min(incidents, 20) ? '' : `${rows} incidents of ${incidents}`
    },
    desk({ number }) {
      if (!document.querySelector('h1')?.textContent.includes(number)) return 'no heading'
      return ['clocks', 'level', 'orders', 'plan', 'timeline'].find((p) => !document.getElementById(`p-${p}`)) ?? ''
    },
    story({ moments, first, last, fewer }) {
      const lines = [...document.querySelectorAll('.story li')]
      if (lines.length === 0) return 'no lines'
      const of = Number(lines[0].getAttribute('aria-setsize'))
      const at = lines.map((l) => Number(l.getAttribute('aria-posinset')))
      if (fewer !== undefined) return of < fewer && of > 0 ? '' : `${of} of ${fewer}`
      if (of < moments) return `${of} of ${moments}` // what falls due meanwhile adds to it
      if (first && at[0] !== 1) return `begins at ${at[0]}`
      return last && at.at(-1) !== of ? `ends at ${at.at(-1)}` : ''
    },
  }

  window.speed = {
    arm() {
      performance.clearResourceTimings()
      state.tasks.length = 0
      state.from = performance.now()
    },
    // usable waits until the page shows what it should, that is painted, and the main thread has nothing left to do. Times in
    // milliseconds: ready from the last byte of what was needed (or the click, where nothing was), server from the request.
    async usable(needs, check, want) {
      const deadline = performance.now() + 30_000
      for (let wrong = 'not looked'; wrong; ) {
        await next()
        wrong = checks[check](want)
        if (wrong && performance.now() > deadline) return { wrong }
      }
      await next()
      await next()
      await idle()
      const to = performance.now()
      const calls = performance.getEntriesByType('resource').filter((e) => e.startTime >= state.from && e.responseEnd <= to && needs.includes(new URL(e.name).pathname))
      if (needs.length && calls.length === 0) return { wrong: 'it was not asked for' }
      const arrived = Math.max(state.from, ...calls.map((e) => e.responseEnd))
      return {
        ready: to - arrived,
        server: calls.reduce((sum, e) => sum + e.responseEnd - e.requestStart, 0),
        total: to - state.from,
        task: Math.max(0, ...state.tasks.filter((t) => t.startTime + t.duration > arrived).map((t) => t.duration)),
        calls: calls.length,
      }
    },
  }
}
