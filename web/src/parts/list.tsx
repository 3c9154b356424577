import { DownloadOutlined, FilterOutlined, ReloadOutlined } from '@ant-design/icons'
import { Button, Empty, Input, Select, Space, Spin } from 'antd'
import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { useTranslation } from '../shell/language'
import { useSearchParams } from 'react-router'
import { Failed } from './failed'

/** Column of a list. `text` is the plain value: what search looks through, what a filter compares and what a phone reads. */
export type Column<T> = {
  key: string
  title: string
  text: (row: T) => string | number
  show?: (row: T) => ReactNode
  width?: number
  sort?: boolean
  wide?: boolean // left out on phones
}

/** Filter is one choice above a list. Values come with counts where the server knows them (facets). */
export type Filter<T> = {
  key: string
  title: string
  of?: (row: T) => string // lists that are here in full filter themselves
} & ({ options: { value: string; label: string; count?: number }[] } | { of: (row: T) => string; options?: undefined; label?: (value: string) => string }) // without options: the values that the rows have

type Common<T> = {
  name: string // for screen readers, and for the export's file
  rows: T[] | undefined
  rowKey: (row: T) => string
  columns: Column<T>[]
  filters: [Filter<T>, ...Filter<T>[]] // every list has one: the compiler holds it
  error?: unknown
  loading?: boolean
  reload?: () => void
  open?: (row: T) => void // Enter, or a click on the row
  keys?: Record<string, (row: T) => void> // further keys on the chosen row, such as d for dismiss
  empty: string // what it means that there is nothing, and what to do
  actions?: ReactNode
  choose?: { chosen: string[]; set: (keys: string[]) => void }
  rowClass?: (row: T) => string
  inAddress?: boolean // false for a list within a page: its search stays with it
}

/** Served lists are searched, filtered and paged by the server (contract of GET lists); exportTo is /exports/{list}. */
type Served = { served: { total: number; next: string; more: () => void; exportTo: string } }

/** Whole lists are here in full; exportTo may name a server export, otherwise what is shown is written out here. */
type Whole = { served?: undefined; exportTo?: string }

type Asked = { q: string; values: Record<string, string>; set: (key: string, value: string) => void; clear: () => void; query: Record<string, string> }

/** useListQuery keeps search and filters in the address, so that a view can be kept, shared and come back to. */
export function useListQuery(filters: string[], inAddress = true): Asked {
  const address = useSearchParams()
  const own = useState(() => new URLSearchParams())
  const params = inAddress ? address[0] : own[0]
  const setParams = (next: URLSearchParams) => (inAddress ? address[1](next, { replace: true }) : own[1](next))
  const q = params.get('q') ?? ''
  const values = Object.fromEntries(filters.map((f) => [f, params.get(f) ?? '']))
  const set = (key: string, value: string) => {
    const next = new URLSearchParams(inAddress ? location.search : params)
    if (value) next.set(key, value)
    else next.delete(key)
    setParams(next)
  }
  const clear = () => {
    const next = new URLSearchParams(inAddress ? location.search : params)
    for (const k of ['q', ...filters]) next.delete(k) // the tab that is open stays open
    setParams(next)
  }
  const query: Record<string, string> = {}
  for (const [k, v] of Object.entries({ q, ...values })) if (v) query[k] = v
  return { q, values, set, clear, query }
}

/**
 * List is how every list looks and works: search, filters, empty state, export, and keys — j and k or the arrows
 * choose a row, Enter opens it, / goes to the search, e exports.
 */
export function List<T>(p: Common<T> & (Served | Whole)) {
  const { t } = useTranslation()
  const filters = p.filters
  const at = useListQuery(filters.map((f) => f.key), p.inAddress)
  const [typed, setTyped] = useState(at.q)
  const [chosen, setChosen] = useState(0)
  const [most, setMost] = useState(step) // of a list that is here in full
  const [sort, setSort] = useState<{ key: string; way: 1 | -1 }>()
  const box = useRef<HTMLDivElement>(null)
  const search = useRef<HTMLInputElement>(null)
  const phone = usePhone()
  const [unfolded, unfold] = useState(false) // on a phone the filters stand behind one button

  const { set } = at
  useEffect(() => {
    if (typed === at.q) return
    const soon = setTimeout(() => set('q', typed), 300)
    return () => clearTimeout(soon)
  }) // eslint-disable-line

  const rows = useMemo(() => {
    const all = p.rows ?? []
    if (p.served) return all
    const needle = at.q.toLowerCase()
    return all.filter(
      (row) =>
        filters.every((f) => !at.values[f.key] || !f.of || at.values[f.key].split(',').includes(f.of(row))) &&
        (!needle || p.columns.some((c) => String(c.text(row)).toLowerCase().includes(needle))),
    )
  }, [p.rows, p.columns, p.served, filters, at.q, at.values])

  const sorted = sort && p.columns.find((c) => c.key === sort.key)
  const all = sorted ? rows.toSorted((a, b) => sort.way * compare(sorted.text(a), sorted.text(b))) : rows
  const shown = p.served ? all : all.slice(0, most)
  const columns = p.columns.filter((c) => !(phone && c.wide))

  const download = () => {
    const link = document.createElement('a')
    const server = p.served ? p.served.exportTo : p.exportTo
    // The server narrows only the lists that it searches itself; of the others its export is always the whole.
    if (server) link.href = `/api/v1${server}${p.served ? `?${new URLSearchParams(at.query)}` : ''}`
    else link.href = URL.createObjectURL(new Blob(['\ufeff' + csv(p.columns, rows)], { type: 'text/csv;charset=utf-8' }))
    link.download = `${p.name}.csv`
    link.click()
    if (!server) setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  }

  const press = (e: React.KeyboardEvent) => {
    const field = (e.target as HTMLElement).closest('input,textarea,select,button,a,[role=combobox]')
    if (e.ctrlKey || e.metaKey || e.altKey || (field && field !== e.currentTarget)) return
    const row = shown[Math.min(chosen, shown.length - 1)]
    if (e.key === 'j' || e.key === 'ArrowDown') setChosen(Math.min(chosen + 1, shown.length - 1))
    else if (e.key === 'k' || e.key === 'ArrowUp') setChosen(Math.max(chosen - 1, 0))
    else if (e.key === '/') search.current?.focus()
    else if (e.key === 'e') download()
    else if (e.key === 'Enter' && row && p.open) p.open(row)
    else if (e.key === 'x' && row && p.choose) {
      const k = p.rowKey(row)
      p.choose.set(p.choose.chosen.includes(k) ? p.choose.chosen.filter((c) => c !== k) : [...p.choose.chosen, k])
    } else if (row && p.keys?.[e.key]) p.keys[e.key](row)
    else return
    e.preventDefault()
  }
  // Keys work before anything has the focus, for the first list of the page.
  const pressed = useRef(press)
  pressed.current = press
  useEffect(() => {
    let g = 0 // g and a letter lead to another page
    const from = (e: KeyboardEvent) => {
      if (e.key === 'g') g = Date.now()
      if (Date.now() - g < 1500) return
      if (e.target === document.body && document.querySelector('.list-box') === box.current && !document.querySelector('[role=dialog]')) pressed.current(e as unknown as React.KeyboardEvent)
    }
    document.addEventListener('keydown', from)
    return () => document.removeEventListener('keydown', from)
  }, [])
  useEffect(() => {
    box.current?.querySelector(`tr.chosen`)?.scrollIntoView({ block: 'nearest' })
  }, [chosen])

  const narrowed = at.q !== '' || Object.values(at.values).some(Boolean)
  return (
    <section aria-label={p.name} className="list">
      <Space wrap className="list-bar">
        <Input.Search
          ref={(r) => void (search.current = r?.input ?? null)}
          className="list-search"
          placeholder={t('common.search')}
          aria-label={t('common.search_in', { name: p.name })}
          allowClear
          value={typed}
          onChange={(e) => setTyped(e.target.value)}
          onSearch={(v) => at.set('q', v)}
          onKeyDown={(e) => e.key === 'Escape' && (box.current?.focus(), e.preventDefault())}
        />
        {phone && (
          <Button icon={<FilterOutlined />} aria-expanded={unfolded} onClick={() => unfold(!unfolded)}>
            {t('common.filters', { n: filters.filter((f) => at.values[f.key]).length })}
          </Button>
        )}
        {(!phone || unfolded) && filters.map((f) => (
          <Select
            key={f.key}
            className="list-filter"
            aria-label={t('common.filter_by', { name: f.title })}
            placeholder={f.title}
            mode="multiple"
            maxTagCount="responsive"
            optionFilterProp="label"
            allowClear
            value={at.values[f.key] ? at.values[f.key].split(',') : []}
            onChange={(v: string[]) => at.set(f.key, v.join(','))}
            options={choices(f, p.rows ?? []).map((o) => ({ value: o.value, label: o.count === undefined ? o.label : `${o.label} (${o.count})` }))}
          />
        ))}
        {narrowed && (
          <Button
            onClick={() => {
              setTyped('')
              at.clear()
            }}
          >
            {t('common.clear_filters')}
          </Button>
        )}
        <Button icon={<DownloadOutlined />} onClick={download}>{t('common.export')}</Button>
        {p.reload && <Button icon={<ReloadOutlined />} aria-label={t('common.reload')} onClick={p.reload} />}
        {p.actions}
        <span className="list-count" role="status">
          {p.rows && t('common.count', { shown: rows.length, total: p.served ? p.served.total : p.rows.length })}
        </span>
      </Space>
      {p.error ? <Failed error={p.error} retry={p.reload} /> : null}
      <div ref={box} tabIndex={0} role="group" aria-label={t('common.list_keys', { name: p.name })} className="list-box" onKeyDown={press}>
        {p.loading && !p.rows && <Spin className="page-wait" />}
        {/* A plain table: Ant Design's own measures itself and costs several times as much a row. */}
        <table className="list-table" role="table">
          <colgroup>
            {p.choose && <col width={32} />}
            {columns.map((c) => <col key={c.key} width={c.width} />)}
          </colgroup>
          <thead role="rowgroup">
            <tr role="row">
              {p.choose && (
                <th role="columnheader">
                  <input
                    type="checkbox"
                    aria-label={t('common.choose_all')}
                    checked={shown.length > 0 && p.choose.chosen.length >= shown.length}
                    onChange={(e) => p.choose!.set(e.target.checked ? shown.map(p.rowKey) : [])}
                  />
                </th>
              )}
              {columns.map((c) => (
                <th key={c.key} role="columnheader" aria-sort={sort?.key === c.key ? (sort.way > 0 ? 'ascending' : 'descending') : undefined}>
                  {c.sort && !p.served ? <button type="button" onClick={() => setSort((s) => (s?.key !== c.key ? { key: c.key, way: 1 } : s.way > 0 ? { key: c.key, way: -1 } : undefined))}>{c.title} <span aria-hidden>{sort?.key !== c.key ? '↕' : sort.way > 0 ? '↑' : '↓'}</span></button> : c.title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((row, n) => {
              const key = p.rowKey(row)
              return (
                <tr
                  key={key}
                  role="row"
                  aria-current={n === chosen ? 'true' : undefined}
                  className={`list-row ${n === chosen ? 'chosen' : ''} ${p.open ? 'can-open' : ''} ${p.rowClass?.(row) ?? ''}`}
                  onClick={(e) => {
                    setChosen(n)
                    if (p.open && !(e.target as HTMLElement).closest('a,button,input,label')) p.open(row)
                  }}
                >
                  {p.choose && <td role="cell"><input type="checkbox" aria-label={t('common.choose_row', { name: columns.slice(0, 2).map((c) => c.text(row)).join(' ') })} checked={p.choose.chosen.includes(key)} onChange={(e) => p.choose!.set(e.target.checked ? [...p.choose!.chosen, key] : p.choose!.chosen.filter((k) => k !== key))} /></td>}
                  {columns.map((c) => <td key={c.key} role="cell" data-label={c.title}>{c.show ? c.show(row) : String(c.text(row))}</td>)}
                </tr>
              )
            })}
          </tbody>
        </table>
        {!p.loading && !p.error && shown.length === 0 && <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={narrowed ? t('common.empty_narrowed') : p.empty} />}
        {!p.served && all.length > most && <Button block onClick={() => setMost(most + step)}>{t('common.more')}</Button>}
        {p.served?.next && <Button block onClick={p.served.more}>{t('common.more')}</Button>}
      </div>
    </section>
  )
}

const step = 50

/** choices are what a filter offers: its own options, or the values that the rows have, with how many have each. */
export function choices<T>(f: Filter<T>, rows: T[]): { value: string; label: string; count?: number }[] {
  if (f.options) return f.options
  const counts = new Map<string, number>()
  for (const v of rows.map(f.of)) if (v) counts.set(v, (counts.get(v) ?? 0) + 1)
  return [...counts].sort().map(([value, count]) => ({ value, label: f.label?.(value) ?? value, count }))
}

function compare(a: string | number, b: string | number) {
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'zh')
}

/** csv writes rows out; a cell that a spreadsheet would take for a formula is kept text. */
export function csv<T>(columns: Pick<Column<T>, 'title' | 'text'>[], rows: T[]): string {
  const cell = (v: string | number) => {
    const s = typeof v === 'string' && /^[=+\-@\t\r]/.test(v) ? `'${v}` : String(v)
    return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s
  }
  return [columns.map((c) => cell(c.title)), ...rows.map((r) => columns.map((c) => cell(c.text(r))))].map((r) => r.join(',') + '\r\n').join('')
}

const narrow = matchMedia('(max-width: 767px)')

/** usePhone tells whether the page is as narrow as a phone. */
export function usePhone(): boolean {
  const [phone, set] = useState(narrow.matches)
  useEffect(() => {
    const changed = () => set(narrow.matches)
    narrow.addEventListener('change', changed)
    return () => narrow.removeEventListener('change', changed)
  }, [])
  return phone
}
