// A whole Fengsui with its simulated model and team, and a browser in front of it.
import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const bin = process.env.FENGSUI_BIN

export const sizes = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } }

/** launched is how the browser is started. */
export const launched = {
  executablePath: process.env.FENGSUI_CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
}

const words = {}
/** zh and en give the console's own text of a key such as common.search, so that a test and the page cannot drift apart. */
export const zh = text('zh')
export const en = text('en')

function text(lang) {
  return (key, values = {}) => {
    const [area, ...rest] = key.split('.')
    const file = new URL(`../../web/src/locale/${lang}/${area}.json`, import.meta.url)
    words[file] ??= JSON.parse(readFileSync(file, 'utf8'))
    const found = words[file][rest.join('.')]
    if (found === undefined) throw new Error(`no text ${key} in ${lang}`)
    return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '')
  }
}

/** menu are the pages that the console's menu leads to, read from its source: a new page is covered by itself. */
export function menu() {
  const source = readFileSync(new URL('../../web/src/shell/menu.tsx', import.meta.url), 'utf8')
  const found = [...source.matchAll(/\{ path: '([^']+)', label: '([^']+)'/g)].map(([, path, label]) => ({ path, label }))
  if (found.length < 10) throw new Error('the menu cannot be read any more')
  return found
}

async function free() {
  return new Promise((given, failed) => {
    const s = createServer()
    s.once('error', failed)
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => given(port))
    })
  })
}

/** Desk is one instance with a data folder of its own, so that several can be walked at once. What it says is kept in `said`, what the browser complains of in `complaints`. */
export class Desk {
  said = ''
  violations = [] // of the content security policy, seen by a page or reported by the browser
  broken = [] // errors that no page caught

  constructor(name) {
    this.folder = join(process.env.FENGSUI_DATA, name)
    mkdirSync(this.folder, { recursive: true })
  }

  async open() {
    this.ports = [await free(), await free(), await free()]
    this.url = `http://localhost:${this.ports[0]}`
    this.console = `${this.url}/console`
    this.model = `http://127.0.0.1:${this.ports[2]}`
    await this.start()
    this.password = readFileSync(join(this.folder, 'demo-password.txt'), 'utf8').trim()
    this.browser = await chromium.launch(launched)
  }

  async start() {
    const [api, gateway, model] = this.ports.map((p) => `127.0.0.1:${p}`)
    const server = spawn(bin, ['demo', '--data', this.folder, '--listen', api, '--gateway-listen', gateway, '--model-listen', model, '--rate', '4'], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.server = server
    for (const out of [server.stdout, server.stderr]) out.on('data', (d) => (this.said += d))
    this.ended = new Promise((done) => server.once('exit', done))
    for (let n = 0; ; n++) {
      const ready = await fetch(`http://${api}/readyz`).catch(() => undefined)
      if (ready?.ok && existsSync(join(this.folder, 'demo-password.txt'))) return
      if (n > 600 || server.exitCode !== null) throw new Error(`the server does not come up:\n${this.said}`)
      await new Promise((soon) => setTimeout(soon, 100))
    }
  }

  /** kill is kill -9. */
  async kill() {
    this.server.kill('SIGKILL')
    await this.ended
  }

  async close() {
    await this.browser?.close()
    this.server?.kill('SIGTERM')
    await this.ended
  }

  /** link is the one-time link of an administrator, as the first start printed it. */
  link(role) {
    return this.said.match(new RegExp(`${role}\\s+(http\\S+)`))[1]
  }

  /** context is a browser of its own: language, shade and size as asked, and an ear for what the policy forbids. */
  async context({ size = 'desk', lang = 'zh', shade = 'light', state, watch = true } = {}) {
    const c = await this.browser.newContext({
      viewport: sizes[size], isMobile: size === 'phone', hasTouch: size === 'phone', colorScheme: shade, reducedMotion: 'reduce',
      locale: lang === 'zh' ? 'zh-CN' : 'en-GB', timezoneId: 'Asia/Shanghai', baseURL: this.url, storageState: state, acceptDownloads: true,
    })
    c.setDefaultTimeout(20_000)
    // Once a tab: a signed-in state brings the language of its making along, and a later switch counts.
    if (lang === 'en') await c.addInitScript(() => sessionStorage.getItem('en') ?? (sessionStorage.setItem('en', '1'), localStorage.setItem('fengsui.language', 'en')))
    if (watch) await this.watch(c, this.violations)
    return c
  }

  async watch(context, violations) {
    await context.exposeBinding('fengsuiViolation', ({ page }, v) => void violations.push(`${page.url()}: ${v}`))
    await context.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => window.fengsuiViolation(`${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber} ${e.sample}`)))
    context.on('page', (page) => page.on('pageerror', (e) => void this.broken.push(`${page.url()}: ${e}`)))
  }

  states = {}
  /** as opens a page for one of the team, who has signed in by account and password. */
  async as(account, how = {}) {
    if (!this.states[account]) {
      const c = await this.context()
      const page = await c.newPage()
      await signIn(page, this, account, this.password)
      this.states[account] = await c.storageState()
      await c.close()
    }
    const c = await this.context({ ...how, state: this.states[account] })
    return c.newPage()
  }

  /** fault makes the model misbehave; no name puts it right. */
  async fault(...names) {
    const r = await fetch(`${this.model}/faults`, { method: 'PUT', body: JSON.stringify({ faults: names.map((name) => ({ name })) }) })
    if (!r.ok) throw new Error(`faults: ${r.status} ${await r.text()}`)
  }

  /** token is the API token of a role of the team. */
  token(role) {
    return readFileSync(join(this.folder, 'demo-tokens.txt'), 'utf8').match(new RegExp(`^${role}\\s+(\\S+)`, 'm'))[1]
  }

  /** call asks the API as a role of the team. */
  async call(role, method, path, body) {
    const r = await fetch(`http://127.0.0.1:${this.ports[0]}/api/v1${path}`, {
      method, body: body && JSON.stringify(body),
      headers: { Authorization: `Bearer ${this.token(role)}`, 'Content-Type': 'application/json' },
    })
    const answer = await r.text()
    if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${answer}`)
    return answer ? JSON.parse(answer) : undefined
  }
}

/** signIn fills in the log-in page and waits for the desk. */
export async function signIn(page, desk, account, password, code) {
  await page.goto(`${desk.console}/login`)
  await page.getByLabel(zh('login.account'), { exact: true }).fill(account)
  await page.getByLabel(zh('login.password'), { exact: true }).fill(password)
  await page.getByRole('button', { name: said(zh('login.enter')) }).click()
  if (code) {
    await page.getByLabel(zh('login.code'), { exact: true }).fill(code())
    await page.getByRole('button', { name: said(zh('login.enter')) }).click()
  }
  await page.getByRole('heading', { level: 1, name: zh('menu.overview') }).waitFor()
}

/** said matches a name exactly; Ant Design puts a space between two Chinese characters of a button. */
export function said(name) {
  const escaped = [...name].map((c) => c.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s*')
  return new RegExp(`^\\s*${escaped}\\s*$`)
}

/** code is the one-time code (RFC 6238, SHA-1, six digits) of a base32 secret, `steps` half minutes from now. */
export function code(secret, steps = 0) {
  const bits = [...secret.replace(/[\s=]/g, '').toUpperCase()].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps))
  const mac = createHmac('sha1', key).update(counter).digest()
  const at = mac[19] & 15
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}
