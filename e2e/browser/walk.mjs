import assert from 'node:assert/strict'
import { test } from 'node:test'
import { en, said, zh } from './desk.mjs'
import { settled } from './pages.mjs'

const title = '虚假药品信息'

/** Walk is one incident as the people of the drill see it, each at an own desk. */
class Walk {
  people = {}
  constructor(desk, size) {
    this.desk = desk
    this.size = size
  }

  async at(account, path = this.path) {
    if (process.env.FENGSUI_STEPS) console.error(new Date().toISOString(), account, path)
    this.page = this.people[account] ??= await this.desk.as(account, { size: this.size })
    if (!this.page.url().endsWith(`/console${path}`)) await this.page.goto(`${this.desk.console}${path}`)
    await settled(this.page)
    return this.page
  }

  word(group, id) {
    const found = this.words[`${group}.${id}`]
    if (!found) throw new Error(`no word ${group}.${id}`)
    return found.zh
  }

  /** act presses a button of a panel, fills in the form that opens, and sends it. Fields are by label: text, or {pick} of choices. */
  async act(where, button, fields = {}, submit = zh('common.submit')) {
    const opens = where.getByRole('button', { name: button instanceof RegExp ? button : said(button) }).first()
    const form = this.page.locator('.ant-modal').filter({ visible: true }).last() // panels are drawers, forms are not
    await opens.click()
    // The page may be drawn anew under the finger; whoever sees no form presses again.
    if (!(await form.waitFor({ timeout: 5000 }).then(() => true, () => false))) await opens.click()
    for (const [label, value] of Object.entries(fields)) {
      if (typeof value === 'string') await form.getByLabel(label, { exact: true }).fill(value)
      else await this.pick(form, label, value.pick)
    }
    const send = form.getByRole('button', { name: said(submit) })
    await send.click()
    await form.waitFor({ state: 'hidden' })
  }

  async pick(form, label, choice) {
    const item = form.locator('.ant-form-item').filter({ hasText: label }).last()
    const radio = item.locator('.ant-radio-button-wrapper, .ant-radio-wrapper').filter({ hasText: said(choice) })
    if ((await radio.count()) > 0) return radio.first().click()
    const box = item.getByRole('combobox')
    await box.click()
    if (await box.isEditable()) await box.fill(choice) // some lists cannot be searched
    await this.page.locator('.ant-select-dropdown:visible .ant-select-item-option').filter({ hasText: choice }).first().click()
  }

  async until(done) {
    for (let n = 0; n < 100 && !(await done()); n++) await this.page.waitForTimeout(100)
  }

  panel(name) {
    return this.page.locator(`#p-${name}`)
  }

  async close() {
    for (const p of Object.values(this.people)) await p.context().close()
  }
}

export function walk(desk) {
  for (const size of ['desk', 'phone']) {
    test(`case A.2 is worked from the complaint to the retrospective by clicking, in Chinese, ${size === 'phone' ? 'on a telephone' : 'at a desk'}`, { timeout: 400_000 }, async () => {
      const w = new Walk(desk, size)
      w.words = (await desk.call('duty_officer', 'GET', '/reference')).words
      try {
        await course(w)
      } catch (e) {
        const saw = await w.page?.locator('#main, .ant-modal, .ant-drawer').last().ariaSnapshot().catch(() => '')
        await w.page?.screenshot({ path: `${desk.folder}/walk-${size}.png` }).catch(() => undefined)
        throw new Error(`${e.stack}\n${w.page?.url()}\n${(await w.page?.getByRole('alert').allInnerTexts())?.join('\n')}\n${saw?.slice(0, 6000)}`)
      } finally {
        await w.close()
      }
    })
  }
}

async function course(w) {
  const { desk } = w
  await desk.fault('false_medicine')

  // Somebody complains on the plain page.
  const outside = await (await desk.context({ size: w.size })).newPage()
  await outside.goto(`${desk.url}/complaint`)
  await outside.locator('textarea[name=text]').fill('它说一种药害死了人，家里人看了都不敢吃药，请核实。')
  await outside.locator('form button').click()
  const [number, code] = await outside.locator('dl code').allInnerTexts()
  assert.ok(number && code)

  // The duty officer reads it, and finds the anomaly in the queue.
  let page = await w.at('duty', '/complaints')
  await page.getByRole('row').filter({ hasText: number }).click()
  await page.getByText('家里人看了都不敢吃药').waitFor()
  page = await w.at('duty', '/anomalies')
  const row = page.getByRole('row').filter({ hasText: w.word('risk', 'A.1.g') }).filter({ hasText: w.word('anomaly.state', 'open') })
  await row.first().waitFor({ timeout: 60_000 })
  await row.first().click()
  const panel = page.getByRole('dialog').first()
  // 止损优先: offline by one person before anything else is known.
  await panel.getByRole('button', { name: zh('order.emergency') }).click()
  await page.getByRole('button', { name: said(zh('order.emergency_now')) }).click()
  await panel.getByText(zh('anomalies.contained')).waitFor()
  // One press begins the assessment and makes it an incident.
  await w.act(panel, zh('anomalies.promote'), { [zh('anomalies.title')]: title })
  await page.waitForURL(/\/incidents\/\w+$/)
  w.path = new URL(page.url()).pathname.replace('/console', '')
  const id = w.path.split('/').pop()
  await page.getByRole('heading', { level: 1 }).filter({ hasText: title }).waitFor()

  // Facts, category, level; another person confirms the level.
  await w.act(w.panel('outside'), zh('incident.check_fact'), { [zh('incident.claim')]: '某药品害死了参加试验的病人', [zh('incident.held_against')]: '虚构的药品数据库：没有这种药品', [zh('incident.verdict')]: { pick: w.word('factcheck.verdict', 'false') } })
  await w.act(w.panel('level'), zh('incident.categorise'))
  await w.act(w.panel('level'), zh('incident.assess'), { [zh('incident.social_harm')]: { pick: w.word('social_harm', 'major') }, [zh('incident.importance')]: { pick: w.word('importance', 'important') } })
  await w.panel('plan').getByRole('button', { name: said(zh('incident.start_plan')) }).click()
  await w.panel('plan').getByRole('listitem').first().waitFor()
  await w.at('commander')
  await w.act(w.panel('level'), zh('incident.confirm_level'))
  await w.panel('level').getByText(w.word('stage', 'confirmed')).first().waitFor()

  // In the middle the duty officer reads it in English, and goes on in Chinese.
  page = await w.at('duty')
  await page.getByTestId('language').click()
  await page.getByRole('heading', { level: 2, name: en('incident.level') }).waitFor()
  await page.getByText(w.words['stage.confirmed'].en).first().waitFor()
  await page.getByTestId('language').click()
  await page.getByRole('heading', { level: 2, name: zh('incident.level') }).waitFor()

  // The emergency is ratified by another person; what is said outside is drafted and approved by two.
  page = await w.at('management', '/gate-reviews')
  await w.act(page.getByRole('row').filter({ hasText: w.word('gate_review.state', 'requested') }), zh('gate.ratify'), { [zh('common.reason')]: '情况紧急，追认' })
  await w.at('compliance')
  await w.act(w.panel('outside'), zh('incident.draft_statement'), { [zh('incident.text')]: '该说法不实，系模型生成的虚假信息，请勿传播；用药请遵医嘱。' })
  await w.at('management')
  await w.panel('outside').getByRole('button', { name: said(zh('incident.approve_statement')) }).click()
  await w.panel('outside').getByText(/✓/).first().waitFor()

  // Fixed by one, tested by another, back online by gate review.
  await w.at('engineer')
  await desk.fault()
  await w.act(w.panel('fix'), zh('incident.add_fix'), { [zh('incident.cause')]: '模拟模型的缺陷开关', [zh('incident.measure')]: '关闭缺陷开关' })
  await w.at('safety')
  await w.act(w.panel('fix'), zh('incident.run_test'))
  await w.panel('fix').getByText(`✓ ${w.word('service_test.state', 'passed')}`).first().waitFor({ timeout: 60_000 })
  await w.at('duty')
  await w.act(w.panel('orders'), zh('incident.ask_online'), { [zh('incident.ground')]: '修复完成，服务测试通过' })
  await w.at('management')
  await w.act(w.panel('orders'), zh('incident.decide_online'), { [zh('incident.decision')]: { pick: zh('incident.approve') }, [zh('common.reason')]: '同意恢复上线' })

  // Other orders, of the plan, are lifted by two.
  for (const o of (await desk.call('duty_officer', 'GET', `/orders?cause_id=${id}&state=in_force`)).items) {
    await w.at('duty')
    await w.act(w.panel('orders'), new RegExp(`^${zh('incident.lift')}`), { [zh('common.reason')]: '修复已通过复查' }, zh('incident.ask_second'))
    await w.at('commander')
    await w.act(w.panel('seconds'), zh('incident.decide'), { [zh('incident.decision')]: { pick: zh('incident.agree') } })
    assert.ok(o)
  }

  // What is owed, what is to be done, who is to be answered.
  for (const fact of ['personal_information', 'endangering_flaw', 'crime_suspected']) {
    await w.at('commander')
    await w.act(w.panel('level'), zh('incident.state_fact'), { [zh('incident.fact_name')]: { pick: w.word('fact', fact) }, [zh('incident.fact_value')]: { pick: zh('common.no') } })
  }
  page = await w.at('compliance')
  for (let n = 0; n < 20; n++) {
    const owed = w.panel('clocks').getByRole('button', { name: new RegExp(`^${zh('incident.strike')}|^${zh('incident.submit')}`) })
    const before = await owed.count()
    if (before === 0) break
    const strike = w.panel('clocks').getByRole('button', { name: new RegExp(`^${zh('incident.strike')}`) })
    if ((await strike.count()) > 0) await w.act(w.panel('clocks'), new RegExp(`^${zh('incident.strike')}`), { [zh('common.reason')]: '经研判不满足报送条件' })
    else await w.act(w.panel('clocks'), new RegExp(`^${zh('incident.submit')}`), { [zh('incident.receipt')]: '受理号 1' })
    await w.until(async () => (await owed.count()) < before) // the page shows it
  }
  await w.at('duty')
  await w.act(w.panel('plan'), new RegExp(`^${zh('incident.skip')}`), { [zh('common.reason')]: '本次不需要' })
  // The plan has a score of tasks that are all done in the same way: the rest goes by the API.
  for (const x of (await desk.call('duty_officer', 'GET', `/incidents/${id}`)).tasks) if (x.state === 'open') await desk.call('duty_officer', 'POST', `/tasks/${x.id}/skip`, { reason: '本次不需要' })
  page = await w.at('duty', '/complaints')
  await page.getByRole('row').filter({ hasText: number }).click()
  await w.act(page.getByRole('dialog').first(), zh('complaints.answer'), { [zh('complaints.answer_text')]: '您反映的内容经核查不实，相关服务已修复，向您致歉。' })
  await outside.goto(`${desk.url}/complaint/status`)
  await outside.locator('input[name=number]').fill(number)
  await outside.locator('input[name=code]').fill(code)
  await outside.locator('form button').click()
  await outside.getByText('相关服务已修复').waitFor()
  await outside.context().close()

  // Ended, closed by another person, and learnt from.
  await w.at('duty')
  await w.act(w.panel('closing'), zh('incident.end_handling'), { [zh('common.reason')]: '复查通过' })
  await w.act(w.panel('closing'), zh('incident.apply'), { [zh('incident.summary')]: '原因查明，措施落实，无未了事项' })
  await w.at('compliance')
  await w.act(w.panel('closing'), zh('incident.verify'), { [zh('incident.decision')]: { pick: zh('incident.close_it') }, [zh('incident.finding')]: '核实无误' })
  page = await w.at('commander')
  await w.act(w.panel('closing'), zh('incident.hold_retro'), { [zh('incident.root_cause')]: '模拟模型的缺陷', [zh('incident.action_title', { n: 1 })]: '增加药品类测试题', [zh('incident.owner')]: { pick: w.word('role', 'safety_engineer') } })
  await w.panel('closing').getByText('增加药品类测试题').waitFor()
  await page.locator('.incident-head').getByText(w.word('incident.state', 'closed')).waitFor()
  assert.equal((await desk.call('commander', 'GET', `/incidents/${id}`)).incident.state, 'closed')
}
