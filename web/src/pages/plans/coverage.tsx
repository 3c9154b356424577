import { Button, Checkbox, Spin } from 'antd'
import { Fragment, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, type Schema } from '../../api/client'
import { Failed } from '../../parts/failed'
import { csv, usePhone } from '../../parts/list'
import { stamp, When } from '../../parts/when'
import { LevelTag, useWords } from '../../parts/word'
import { fitOf, matrix, tally, type Fit } from './library'

type Cell = Schema<'FlowCoverageCell'>

const signs: Record<Fit, string> = { own: '●', type: '◑', general: '○', draft: '✎', none: '✗' }

/** Coverage is the matrix category × level: which plan would be started, and when that was last drilled. */
export function Coverage() {
  const { t } = useTranslation()
  const { word } = useWords()
  const phone = usePhone()
  const [gaps, setGaps] = useState(false)
  const { data, error, refetch } = api.useQuery('get', '/api/v1/plans/coverage')
  if (error) return <Failed error={error} retry={() => void refetch()} />
  if (!data) return <Spin />
  const sum = tally(data)
  const fit = (c: Cell) => t(`plans.fit_${fitOf(c)}` as 'plans.fit_own')
  const gap = (c: Cell) => fitOf(c) === 'none' || fitOf(c) === 'draft' || !c.drill_passed
  const groups = matrix(data).map((g) => ({ ...g, rows: g.rows.filter((r) => !gaps || r.cells.some(gap)) })).filter((g) => g.rows.length)
  const download = () => {
    const columns = [
      { title: t('plans.category'), text: (c: Cell) => word('guide_type', c.subtype) },
      { title: t('plans.level'), text: (c: Cell) => word('level', c.level) },
      { title: t('plans.fit'), text: fit },
      { title: t('plans.title'), text: (c: Cell) => c.plan_id },
      { title: t('plans.last_drill'), text: (c: Cell) => stamp(c.drill_ms) },
      { title: t('plans.drill_passed'), text: (c: Cell) => (c.drill_id ? t(c.drill_passed ? 'common.yes' : 'common.no') : '') },
    ]
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob(['\ufeff' + csv(columns, data)], { type: 'text/csv;charset=utf-8' }))
    link.download = `${t('plans.coverage')}.csv`
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  }
  const legend = (['own', 'type', 'general', 'draft', 'none'] as const).map((f) => <span key={f} className="nowrap"><span aria-hidden>{signs[f]} </span>{t(`plans.fit_${f}` as 'plans.fit_own')} {sum.by[f]}</span>)
  const levels = [1, 2, 3, 4]
  return (
    <section aria-label={t('plans.coverage')}>
      <p>
        <strong>{t('plans.sum', { covered: sum.all - sum.by.none - sum.by.draft, all: sum.all, drilled: sum.drilled })}</strong>
        {sum.starter > 0 && <> ⚠ {t('plans.sum_starter', { n: sum.starter })}</>}
      </p>
      <p className="legend">{legend}</p>
      <p><Checkbox checked={gaps} onChange={(e) => setGaps(e.target.checked)}>{t('plans.gaps_only')}</Checkbox> <Button size="small" onClick={download}>{t('common.export')}</Button></p>
      {groups.length === 0 && <p>✓ {t('plans.no_gaps')}</p>}
      {phone ? (
        groups.map((g) => (
          <section key={g.group}>
            <h2>{word('guide_group', g.group)}</h2>
            {g.rows.map((r) => (
              <Fragment key={r.subtype}>
                <h3>{word('guide_type', r.subtype)}</h3>
                <ul className="rows">{r.cells.map((c) => <li key={c.level}><LevelTag level={c.level} /><One cell={c} fit={fit(c)} /></li>)}</ul>
              </Fragment>
            ))}
          </section>
        ))
      ) : (
        <div className="scroll-x">
          <table className="plain matrix">
            <caption>{t('plans.coverage_what')}</caption>
            <thead><tr><th scope="col">{t('plans.category')}</th>{levels.map((l) => <th key={l} scope="col"><LevelTag level={l} /></th>)}</tr></thead>
            {groups.map((g) => (
              <tbody key={g.group}>
                <tr><th scope="rowgroup" colSpan={5} className="matrix-group">{word('guide_group', g.group)}</th></tr>
                {g.rows.map((r) => (
                  <tr key={r.subtype}>
                    <th scope="row">{word('guide_type', r.subtype)}</th>
                    {r.cells.map((c) => <td key={c.level} className={`fit-${fitOf(c)}`}><One cell={c} fit={fit(c)} /></td>)}
                  </tr>
                ))}
              </tbody>
            ))}
          </table>
        </div>
      )}
    </section>
  )
}

function One({ cell: c, fit }: { cell: Cell; fit: string }) {
  const { t } = useTranslation()
  const sign = signs[fitOf(c)]
  return (
    <div className="cell">
      <div>
        <span aria-hidden>{sign} </span>
        {c.plan_id ? <Link to={`/plans/${c.plan_id}?view=coverage`} title={c.plan_id}>{fit}</Link> : fit}
        {c.starter && <span className="secondary"> · {t('plans.starter_short')}</span>}
      </div>
      <div className={c.drill_id ? '' : 'secondary'}>{c.drill_id ? <><Link to={`/drills/${c.drill_id}`}>{c.drill_passed ? `✓ ${t('plans.drilled')}` : `✗ ${t('plans.drill_failed')}`}</Link> <When ms={c.drill_ms} /></> : t('plans.never_drilled')}</div>
    </div>
  )
}
