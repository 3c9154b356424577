import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { serious } from './axe.mjs'
import { zh } from './desk.mjs'
import { settled } from './pages.mjs'
import { alone } from './signs.mjs'
import { story } from './story.mjs'
import { enrol } from './welcome.mjs'

const dialog = '.ant-modal, .ant-drawer-section, .ant-drawer-content'
const bare = (text) => text.replace(/\{\w+\}.*$/, '').replace(/\s/g, '')

/** forms are the forms that the console's source has, in a folder of its pages or in all: the key of each button, and the text that it begins with. */
function forms(folder = '') {
  const at = new URL('../../web/src/', import.meta.url)
  const out = new Map()
  for (const file of readdirSync(at, { recursive: true }).filter((f) => f.endsWith('.tsx') && f.startsWith(folder))) {
    const source = readFileSync(new URL(file, at), 'utf8')
    for (const m of source.matchAll(/<(?:ActForm|Ask|OrderForm|PlanEditor)\b/g)) {
      const label = source.slice(m.index, m.index + 700).match(/\blabel=\{([^\n}]*)/)?.[1] ?? ''
      for (const [, key] of label.matchAll(/'([a-z_]+\.[a-z_0-9]+)'/g)) out.set(key, bare(zh(key)))
    }
  }
  return out
}

/** Look opens what can be opened and keeps what is wrong with it, by day and by night. */
class Look {
  found = []
  visited = [] // places, in no order
  opened = new Set() // kinds of page with texts of buttons
  known = [...forms().values()].sort((a, b) => b.length - a.length)

  constructor(desk) {
    this.desk = desk
  }

  // Changing the shade draws everything anew, so what is opened next begins with the shade that this one ended with.
  async at(page, what, within) {
    this.visited.push(what)
    await still(page)
    const tell = (found) => this.found.push(...found.map((x) => `${what}: ${x}`))
    const night = await page.evaluate(() => matchMedia('(prefers-color-scheme: dark)').matches)
    for (const dark of [night, !night]) {
      if (dark !== night) await shade(page, dark ? 'dark' : 'light')
      tell(await serious(page, { within, colours: dark }))
    }
    tell((await alone(page)).found)
  }

  /** panel looks at what lies open above the page, and fails when nothing does. */
  async panel(page, what) {
    await page.locator(dialog).filter({ visible: true }).last().waitFor()
    await this.at(page, what, dialog)
  }

  /** forms opens each form of the page, or of the panel above it, that nobody opened before on such a page, and shuts it again. */
  async forms(page) {
    const place = new URL(page.url()).pathname.split('/')[2]
    const left = await count(page)
    for (;;) {
      const triggers = (left ? page.locator(dialog).filter({ visible: true }).last() : page).locator('button[aria-haspopup=dialog]:not([disabled]):visible')
      const texts = (await triggers.allInnerTexts()).map(bare).map((x) => this.known.find((text) => x.startsWith(text)) ?? x.replace(/\d.*$/, ''))
      const next = texts.findIndex((x) => x && !this.opened.has(`${place} ${x}`))
      if (next < 0) return
      this.opened.add(`${place} ${texts[next]}`)
      await triggers.nth(next).click()
      await page.waitForFunction(([d, n]) => [...document.querySelectorAll(d)].filter((x) => x.checkVisibility()).length > n, [dialog, left])
      await this.panel(page, `form ${place} ${texts[next]}`)
      await shut(page, left)
    }
  }
}

const count = (page) => page.locator(dialog).filter({ visible: true }).count()

async function shut(page, left) {
  for (let n = 0; n < 3; n++) {
    await page.keyboard.press('Escape')
    if (await page.waitForFunction(([d, n]) => [...document.querySelectorAll(d)].filter((x) => x.checkVisibility()).length <= n, [dialog, left], { timeout: 2000 }).catch(() => undefined)) return
  }
  throw new Error(`what was opened does not close: ${await page.locator(dialog).filter({ visible: true }).last().innerText()}`)
}

// still waits until nothing loads and nothing moves that will come to an end.
async function still(page) {
  await settled(page)
  await page.waitForFunction(() => !document.querySelector('.ant-btn-loading') && document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getComputedTiming().endTime === Infinity))
}

async function shade(page, colorScheme) {
  await page.emulateMedia({ colorScheme })
  await page.waitForFunction((s) => [undefined, s].includes(document.documentElement.dataset.shade), colorScheme) // plain pages have none
  await still(page)
}

// places are what each of the team opens: a page looked at whole, the panel above it, or only its forms.
const places = (s) => ({
  duty: [
    ['incident desk', `/incidents/${s.incident}`], ['complaint', `/complaints/${s.letter.id}`, 'panel'], ['anomaly', `/anomalies/${s.letter.anomaly_id}`, 'panel'], ['anomaly about an answer', `/anomalies/${s.told.anomaly_id}`, 'panel'], ['order', `/orders/${s.order.id}`, 'panel'],
    ['order of a service that is off', `/orders/${s.taken.id}`, 'panel'], ['drill', `/drills/${s.drill}`, 'panel'], ['incident desk of duty for a service that is off', `/incidents/${s.dark}`, 'forms'], ['incidents', '/incidents', 'forms'], ['me', '/me', 'forms'], ['roles', '/settings/roles'], ['keys', '/settings/keys'], ['nodes', '/settings/nodes', 'forms'], ['messages', '/settings/messages'], ['rules', '/settings/rules'], ['about', '/settings/about'],
  ],
  commander: [['incident desk of a commander', `/incidents/${s.incident}`, 'forms'], ['seconds', '/seconds', 'forms']],
  compliance: [['incident desk of compliance', `/incidents/${s.incident}`, 'forms'], ['incident desk under a hold', `/incidents/${s.dark}`, 'forms']],
  engineer: [['incident desk of an engineer', `/incidents/${s.incident}`, 'forms']],
  safety: [['incident desk of a safety engineer', `/incidents/${s.incident}`, 'forms'], ['nodes of a safety engineer', '/settings/nodes', 'forms'], ['services', '/services', 'forms'], ['service', `/services/${s.service.id}`, 'panel'], ['lexicon', '/lexicon', 'forms'], ['plan in force', '/plans/general-1', 'panel'], ['plans', '/plans', 'forms']],
  management: [['gate reviews', '/gate-reviews'], ['incident desk of a service that is off', `/incidents/${s.dark}`, 'forms'], ['plan draft', `/plans/${s.plan}`, 'panel']],
  auditor: [['record entry', '/record?entry=3', 'panel'], ['checkpoints', '/record?part=checkpoints'], ['erasures', '/record?part=erasures'], ['outside', '/record?part=outside'], ['incident desk of an auditor', `/incidents/${s.incident}`, 'forms']],
  secadmin: [['people', '/settings/people'], ['credentials', '/settings/credentials'], ['providers', '/settings/providers']],
  sysadmin: [['channels', '/settings/channels'], ['figures', '/settings/figures']],
})

async function visit(look, account, list) {
  const page = await look.desk.as(account)
  for (const [what, path, how] of list) {
    await page.goto(`${look.desk.console}${path}`)
    await still(page)
    if (how === 'panel') await look.panel(page, what)
    else if (how === 'forms') look.visited.push(what)
    else await look.at(page, what)
    await look.forms(page)
  }
  return page
}

async function people(look, page) {
  await page.goto(`${look.desk.console}/settings/people`)
  await still(page)
  await page.locator('section.list tbody tr').first().click()
  await look.panel(page, 'a person')
  await look.forms(page)
}

// frame looks at what every page can open: the search, with hits, and the help.
async function frame(look, page, number) {
  await page.goto(`${look.desk.console}/incidents`)
  await still(page)
  await page.keyboard.press('Control+k')
  const box = page.getByRole('dialog')
  await box.getByRole('textbox').fill(number)
  await box.getByText(number).first().waitFor()
  await look.panel(page, 'search')
  await shut(page, 0)
  await page.locator('#main').focus()
  await page.keyboard.press('?')
  await look.panel(page, 'keys of the keyboard')
}

async function phone(look, incident) {
  const page = await look.desk.as('duty', { size: 'phone' })
  await page.goto(`${look.desk.console}/incidents/${incident}`)
  await look.at(page, 'incident desk on a telephone')
  await page.getByRole('button', { name: zh('menu.name'), exact: true }).click()
  await page.locator('.ant-drawer nav').waitFor()
  await look.panel(page, 'menu on a telephone')
  await page.context().close()
}

async function outside(look, s) {
  const page = await (await look.desk.context()).newPage()
  for (const [what, path] of [['notice', `/notice/${s.off.id}`], ['acknowledgement', '/ack/no-such-link'], ['complaint about a service', `/complaint?service=${s.service.id}`]]) {
    await page.goto(path)
    await look.at(page, what)
  }
  await page.goto('/complaint/status')
  await page.locator('input[name=number]').fill(s.answered.number)
  await page.locator('input[name=code]').fill(s.answered.code)
  await page.locator('form button').click()
  await page.getByText('致歉').waitFor()
  await look.at(page, 'answer to a complaint')
  await page.context().close()
}

// Forms that the story has no occasion for: they come when handling has ended, when an incident is restricted or breaks a rule, in the first minute, and so on.
// The undo of an order, which lasts a minute, may or may not be there.
const later = ['anomalies.merge', 'gate.decide', 'incident.apply', 'incident.ask_online', 'incident.decide_online', 'incident.explain', 'incident.hold_retro', 'incident.let_in', 'incident.undo', 'incident.unmask', 'incident.unrestrict', 'incident.verify',
  'orders.adopt', 'record.ask_erasure', 'settings.forget_gateway', 'settings.remove_channel', 'settings.remove_provider']

export function panels(desk) {
  let look, s
  test('what opens from pages opens: panels, forms, search and menus', { timeout: 390_000 }, async () => {
    s = await story(desk)
    look = new Look(desk)
    await enrol(desk, 'security_admin', 'secadmin')
    await enrol(desk, 'system_admin', 'sysadmin')
    const all = places(s)
    const lane = async (...accounts) => {
      for (const account of accounts) {
        const page = await visit(look, account, all[account])
        if (account === 'duty') await frame(look, page, s.number)
        if (account === 'secadmin') await people(look, page)
        if (account === 'auditor') {
          await page.goto(`/incidents/${s.incident}/print`)
          await look.at(page, 'print')
        }
        await page.context().close()
      }
    }
    await Promise.all([phone(look, s.incident).then(() => lane('secadmin', 'sysadmin', 'duty')), outside(look, s).then(() => lane('auditor', 'management', 'safety', 'compliance', 'engineer', 'commander'))])
    const must = [...Object.values(all).flat().map(([what]) => what), 'search', 'keys of the keyboard', 'a person', 'print', 'incident desk on a telephone', 'menu on a telephone', 'notice', 'acknowledgement', 'complaint about a service', 'answer to a complaint']
    assert.deepEqual(look.visited.filter((x) => !x.startsWith('form ')).sort(), must.sort())
    assert.ok(look.opened.has(`anomalies ${zh('verdict.why')}`), `why an answer was judged as it was has not been opened: ${[...look.opened]}`)
  })

  test('every form of the console was opened, but those that are named here', () => {
    assert.ok(forms('pages/incident/').size > 20, 'the forms of the incident desk cannot be found any more')
    assert.deepEqual([...forms()].filter(([key, text]) => key !== 'orders.undo' && ![...look.opened].some((x) => x.endsWith(` ${text}`))).map(([key]) => key).sort(), later.sort())
  })

  test('axe finds nothing serious in what opens, and no colour carries meaning alone, by day and by night', () => assert.deepEqual(look.found, []))

  test('the look at a panel finds a planted defect by day, and a planted colour by night', async () => {
    const page = await desk.as('duty')
    await page.goto(`${desk.console}/orders/${s.order.id}`)
    await still(page)
    await page.evaluate((d) => {
      const panel = [...document.querySelectorAll(d)].find((x) => x.checkVisibility())
      const text = document.createElement('p')
      text.style.color = '#222'
      text.textContent = 'hard to read by night'
      panel.querySelector('.ant-descriptions').append(document.createElement('button'), text)
    }, dialog)
    const planted = new Look(desk)
    await planted.panel(page, 'planted')
    assert.deepEqual(planted.found.map((x) => x.split(' ').slice(0, 2).join(' ')), ['planted: button-name', 'planted: color-contrast'], planted.found.join('\n'))
    await page.context().close()
  })
}
