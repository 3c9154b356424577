/**
 * alone gives the marks on a page that say something by their colour alone, one line each: a coloured tag, clock, tile,
 * board or alert in which nothing is written, and two marks that say the same and differ in nothing but colour. Seen is how
 * many marks there were. Nothing is drawn: who sees no colours, or has the page read aloud, gets what is compared here.
 */
export async function alone(page) {
  return page.evaluate(() => {
    const marks = '.ant-tag, .mark, .clock, .tile, .calm-board, .ant-alert, .ant-badge-status, .course li, .story strong[class], .ant-statistic-content, .bar'
    const grey = (colour) => {
      const [r, g, b] = (colour.match(/[\d.]+/g) ?? []).map(Number)
      return Math.max(r, g, b) - Math.min(r, g, b) < 24
    }
    // What there is besides colour: words of a label or of the text, and signs, which may be hidden from who listens.
    const heard = (x) => {
      const copy = x.cloneNode(true)
      for (const silent of copy.querySelectorAll('[aria-hidden=true]')) silent.remove()
      return `${x.getAttribute('aria-label') ?? ''} ${copy.textContent}`.replace(/\s+/g, ' ').trim()
    }
    const found = []
    const colours = new Map()
    let seen = 0
    for (const x of document.querySelectorAll(marks)) {
      if (!x.checkVisibility({ visibilityProperty: true })) continue
      const style = getComputedStyle(x)
      const coloured = [style.color, style.borderLeftColor, style.backgroundColor].filter((c) => c && !/^rgba.*, 0\)$/.test(c) && !grey(c))
      if (coloured.length === 0) continue
      if (x.closest('[aria-hidden=true]')) continue // a picture of what stands beside it
      seen++
      const said = heard(x)
      const name = `${x.className} “${x.textContent.trim().slice(0, 40)}”`
      if (!/[\p{L}\p{N}]/u.test(said)) found.push(`nothing is written: ${name}`)
      else if (/^[\p{N}\s:.,%]*$/u.test(x.textContent) && x.matches('.ant-tag, .mark, .clock.late, .clock.urgent')) found.push(`a bare number: ${name}`)
      if (!x.matches('.ant-tag, .mark, .clock')) continue
      const what = `${x.matches('.clock') ? 'clock' : 'tag'} “${x.textContent.trim()}”`
      const key = coloured.join(' ')
      if (colours.has(what) && colours.get(what) !== key && x.textContent.trim()) found.push(`the same in two colours: ${what}`)
      colours.set(what, key)
    }
    return { found, seen }
  })
}
