import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/**
 * serious gives what axe calls serious or critical on a page or in the part of it that a selector names, one line each.
 * With colours it asks only what differs between the light and the dark shade of one and the same page. It comes in by the
 * debugger, not by a script tag: the policy stays as it is.
 */
export async function serious(page, { within = '', colours = false } = {}) {
  const cdp = await page.context().newCDPSession(page)
  try {
    const run = async (expression) => {
      const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value
    }
    if (!(await run('!!window.axe'))) await run(`${source}; undefined`)
    const options = { resultTypes: ['violations'], ...(colours && { runOnly: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] } }) }
    return await run(`axe.run(${within ? `[...document.querySelectorAll(${JSON.stringify(within)})].filter((x) => x.checkVisibility()).at(-1) ?? document` : 'document'}, ${JSON.stringify(options)}).then((r) => r.violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .flatMap((v) => v.nodes.map((n) => v.id + ' ' + n.target.join(' ') + ' ' + n.html.slice(0, 160) + ' ' + n.failureSummary.replace(/\\s+/g, ' ').slice(0, 200))))`)
  } finally {
    await cdp.detach()
  }
}
