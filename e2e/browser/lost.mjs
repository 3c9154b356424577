import assert from 'node:assert/strict'
import { test } from 'node:test'
import { said, zh } from './desk.mjs'
import { settled } from './pages.mjs'

export function lost(desk) {
  test('a desk that loses its server says so, keeps what is typed, and catches up when it is back', { timeout: 90_000 }, async () => {
    const page = await desk.as('duty')
    await page.goto(`${desk.console}/incidents`)
    await settled(page)
    await page.getByRole('button', { name: zh('incidents.declare') }).click()
    const form = page.getByRole('dialog').filter({ visible: true })
    await form.getByLabel(zh('incidents.title'), { exact: true }).fill('断线前写下的')
    await desk.kill()
    await page.getByTestId('lost').waitFor()
    await page.getByTestId('lost').getByText(zh('shell.lost')).waitFor()
    await form.getByLabel(zh('incidents.title'), { exact: true }).fill('断线前写下的，断线时又补了一句')
    // Pressed while nobody answers: the form stays, with what is in it.
    await form.getByRole('button', { name: said(zh('common.submit')) }).click()
    await form.getByText(zh('common.failed_network')).waitFor()
    await desk.start()
    const [service] = await desk.call('duty_officer', 'GET', '/services')
    await desk.call('duty_officer', 'POST', '/incidents', { service_id: service.id, title: '别人在断线时认定的', kind: 'real', aware_source: 'declared' })
    await page.getByTestId('lost').waitFor({ state: 'hidden' })
    await page.getByTestId('back').waitFor()
    const missed = page.getByRole('row').filter({ hasText: '别人在断线时认定的' })
    await missed.waitFor()
    assert.equal(await missed.count(), 1)
    assert.equal(await form.getByLabel(zh('incidents.title'), { exact: true }).inputValue(), '断线前写下的，断线时又补了一句')
    await form.getByRole('button', { name: said(zh('common.submit')) }).click()
    await page.waitForURL(/\/incidents\/\w+$/)
    await page.getByRole('heading', { level: 1 }).filter({ hasText: '断线时又补了一句' }).waitFor()
    const { items } = await desk.call('duty_officer', 'GET', '/incidents?limit=200')
    assert.equal(items.filter((i) => i.title.startsWith('断线前写下的')).length, 1, 'pressing twice declared it twice')
    await page.context().close()
  })
}
