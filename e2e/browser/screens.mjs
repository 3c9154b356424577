// Takes a picture of every page, in both languages and shades, wide and narrow: node screens.mjs FOLDER
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Desk, menu, sizes } from './desk.mjs'
import { settled } from './pages.mjs'
import { enrol } from './welcome.mjs'

const to = process.argv[2]
mkdirSync(to, { recursive: true })
const desk = new Desk('screens')
try {
  await desk.open()
  const paths = await story(desk)
  await enrol(desk, 'security_admin', 'secadmin')
  await enrol(desk, 'system_admin', 'sysadmin')
  for (const lang of ['zh', 'en']) {
    const pages = { stranger: await (await desk.context({ lang })).newPage() }
    for (const who of ['duty', 'auditor', 'commander', 'secadmin', 'sysadmin']) pages[who] = await desk.as(who, { lang })
    for (const [name, path, who] of paths) {
      const page = pages[who || 'duty']
      await page.setViewportSize(sizes.desk)
      await page.goto(desk.url + path)
      await settled(page)
      const spoken = await page.evaluate(() => document.documentElement.lang)
      if (path.startsWith('/console') && !spoken.startsWith(lang)) throw new Error(`${path} speaks ${spoken}, not ${lang}`)
      for (const [size, viewport] of Object.entries(sizes)) {
        await page.setViewportSize(viewport)
        for (const shade of ['light', 'dark']) {
          await page.emulateMedia({ colorScheme: shade })
          await page.waitForTimeout(150) // charts draw anew
          await page.screenshot({ path: join(to, `${name}-${lang}-${shade}-${size}.png`), fullPage: true })
        }
      }
    }
    for (const page of Object.values(pages)) await page.context().close()
  }
} finally {
  await desk.close()
}

// A little of everything, so that the pages have something to show.
async function story(desk) {
  await desk.fault('false_medicine')
  const [service] = await desk.call('duty_officer', 'GET', '/services')
  await desk.call('duty_officer', 'POST', '/complaints', { service_id: service.id, kind: 'complaint', text: '它说一种药害死了人，请核实。' })
  let anomaly
  for (let n = 0; !anomaly && n < 120; n++) {
    anomaly = (await desk.call('duty_officer', 'GET', '/anomalies')).items.find((a) => a.risk === 'A.1.g')
    await new Promise((soon) => setTimeout(soon, 500))
  }
  await desk.call('duty_officer', 'POST', '/orders', { cause: 'anomaly', cause_id: anomaly.id, service_id: service.id, rung: 'strict_filter', reason: '先控制影响', params: {} })
  await desk.fault()
  await desk.call('duty_officer', 'POST', `/anomalies/${anomaly.id}/assess`)
  const { id } = await desk.call('duty_officer', 'POST', `/anomalies/${anomaly.id}/promote`, { title: '虚假药品信息' })
  await desk.call('duty_officer', 'POST', `/incidents/${id}/categories`, { guide_type: 'content.false', risk: 'A.1.g', rank: 'primary', part: 'manifestation' })
  await desk.call('duty_officer', 'POST', `/incidents/${id}/assessments`, { stage: 'preliminary', source: 'self', social_harm: '重大' })
  await desk.call('duty_officer', 'POST', `/incidents/${id}/plan`)
  const order = (await desk.call('duty_officer', 'GET', '/orders')).items[0]
  await desk.call('duty_officer', 'POST', `/orders/${order.id}/lift`, { reason: '已修复' })
  return [
    ...menu().map(({ path }) => [path === '/' ? 'overview' : path.slice(1), `/console${path}`, path === '/record' ? 'auditor' : '']),
    ['incident', `/console/incidents/${id}`], ['anomaly', `/console/anomalies/${anomaly.id}`], ['order', `/console/orders/${order.id}`], ['seconds-commander', '/console/seconds', 'commander'],
    ['settings-rules', '/console/settings/rules'], ['settings-nodes', '/console/settings/nodes'], ['settings-keys', '/console/settings/keys'], ['settings-people', '/console/settings/people', 'secadmin'], ['settings-credentials', '/console/settings/credentials', 'secadmin'], ['settings-providers', '/console/settings/providers', 'secadmin'],
    ['settings-channels', '/console/settings/channels', 'sysadmin'], ['settings-figures', '/console/settings/figures', 'sysadmin'], ['record-checkpoints', '/console/record?part=checkpoints', 'auditor'], ['print', `/incidents/${id}/print`],
    ['login', '/console/login', 'stranger'], ['plain-complaint', '/complaint', 'stranger'], ['plain-status', '/status', 'stranger'], ['plain-progress', '/complaint/status', 'stranger'],
  ]
}
