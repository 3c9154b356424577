import { Alert, Button, Drawer, Input, Spin, Tag } from 'antd'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { client } from '../../api/client'
import { Failed } from '../../parts/failed'
import { stamp } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import type { Change } from '../../shell/live'
import { useHere } from './dossier'
import { Nothing, Panel } from './parts'
import { line, visible, type Moment } from './story'

type Proved = { seq: number; leaf: string; leaf_hash: string; tree_size: number; root: string; path: string[]; checkpoint: string; verified: boolean }

// The two reads below are asked by hand: a story is read from where it was left, not as a whole again.
const ask = client as unknown as { GET: (path: string, init: object) => Promise<{ data?: unknown; error?: unknown }> }

/** useStory reads all moments of an incident, and those that come in from then on. */
function useStory(id: string) {
  const [items, setItems] = useState<Moment[]>([])
  const [error, setError] = useState<unknown>()
  const [ready, setReady] = useState(false)
  const last = useRef(0)
  const busy = useRef(false)
  const again = useRef(false)
  const more = useCallback(async () => {
    if (busy.current) {
      again.current = true
      return
    }
    busy.current = true
    try {
      do {
        again.current = false
        const { data, error } = await ask.GET('/api/v1/incidents/{id}/timeline', { params: { path: { id }, query: { limit: 1000, after: last.current } } })
        if (error) throw error
        const page = data as { items: Moment[]; next: string }
        const fresh = page.items.filter((m) => m.seq > last.current)
        last.current = fresh.at(-1)?.seq ?? last.current
        if (fresh.length) setItems((old) => [...old, ...fresh])
        if (page.next && fresh.length) again.current = true
      } while (again.current)
      setError(undefined)
      setReady(true)
    } catch (e) {
      setError(e)
    } finally {
      busy.current = false
    }
  }, [id])
  useEffect(() => {
    last.current = 0
    setItems([])
    setReady(false)
    void more()
    const changed = (e: Event) => {
      if ((e as CustomEvent<Change>).detail.incident_id === id) void more()
    }
    const slow = setInterval(() => void more(), 20_000) // also what belongs to the incident without naming it
    window.addEventListener('fengsui:change', changed)
    return () => {
      clearInterval(slow)
      window.removeEventListener('fengsui:change', changed)
    }
  }, [id, more])
  return { items, error, ready, more }
}

/** Timeline writes itself from the record, newest first. Only the lines in sight are drawn. */
export function Timeline() {
  const { t } = useTranslation()
  const { word } = useWords()
  const { d, id } = useHere()
  const may = useMay()
  const { items, error, ready, more } = useStory(id)
  const [typed, setTyped] = useState('')
  const [proof, setProof] = useState<number>()
  const [at, setAt] = useState(0)
  const [high, setHigh] = useState(480)
  const box = useRef<HTMLDivElement>(null)
  // Asked while drawing, the height would have the whole desk laid out in between.
  useEffect(() => {
    if (!box.current) return
    const seen = new ResizeObserver(([e]) => setHigh(e.contentRect.height || 480))
    seen.observe(box.current)
    return () => seen.disconnect()
  }, [])
  const shown = useMemo(() => {
    const q = typed.trim().toLowerCase()
    const newest = items.toReversed()
    return q ? newest.filter((m) => `${word('action', m.action)} ${word('object', m.object_kind)} ${m.actor_name} ${line(m, word)}`.toLowerCase().includes(q)) : newest
  }, [items, typed, word])
  const { from, to } = visible(at, high, shown.length)
  return (
    <Panel
      id="timeline"
      title={t('incident.timeline')}
      extra={
        <>
          <span role="status">{ready && t('incident.moments', { n: items.length })}</span>
          <Input size="small" allowClear className="story-search" placeholder={t('common.search')} aria-label={t('common.search_in', { name: t('incident.timeline') })} value={typed} onChange={(e) => setTyped(e.target.value)} />
        </>
      }
    >
      {error ? <Failed error={error} retry={() => void more()} /> : null}
      {!ready && !error && <Spin />}
      {ready && shown.length === 0 && <Nothing text={t('incident.no_moments')} />}
      <div ref={box} className="story" tabIndex={0} role="group" aria-label={t('incident.timeline')} onScroll={(e) => setAt(e.currentTarget.scrollTop)}>
        <div className="story-inside" style={{ height: shown.length * rowHeight }}>
          <ol style={{ transform: `translateY(${from * rowHeight}px)` }}>
            {shown.slice(from, to).map((m) => (
              <li key={m.seq} aria-setsize={shown.length} aria-posinset={shown.indexOf(m) + 1}>
                <div className="story-line"><time dateTime={new Date(m.at_ms).toISOString()}>{stamp(m.at_ms).slice(5)}</time> <strong>{word('action', m.action)}</strong> <span>{d.names[m.actor_id] ?? (/^[0-9A-Z]{26}$/.test(m.actor_id) ? m.actor_name : t('incident.system'))}</span></div>
                <div className="story-line secondary">
                  {may('record.read') ? <Button type="link" size="small" aria-haspopup="dialog" title={t('incident.proof')} aria-label={t('incident.proof_of', { seq: m.seq })} onClick={() => setProof(m.seq)}>#{m.seq}</Button> : <span>#{m.seq}</span>} {word('object', m.object_kind)} <span title={line(m, word)}>{line(m, word)}</span>
                </div>
              </li>
            ))}
          </ol>
        </div>
      </div>
      <Drawer open={proof !== undefined} onClose={() => setProof(undefined)} title={t('incident.proof_of', { seq: proof ?? 0 })} size={520}>{proof !== undefined && <ProofOf seq={proof} />}</Drawer>
    </Panel>
  )
}

const rowHeight = 46

/** ProofOf shows that an entry is in the record: its leaf, the path to the root, and the checkpoint over it. */
function ProofOf({ seq }: { seq: number }) {
  const { t } = useTranslation()
  const [got, set] = useState<{ data?: Proved; error?: unknown }>({})
  useEffect(() => {
    let gone = false
    void ask.GET('/api/v1/record/{seq}/proof', { params: { path: { seq } } }).then(
      (r) => !gone && set({ data: r.data as Proved, error: r.error }),
      (error: unknown) => !gone && set({ error }),
    )
    return () => {
      gone = true
    }
  }, [seq])
  if (got.error) return <Failed error={got.error} />
  const p = got.data
  if (!p) return <Spin />
  return (
    <>
      <Alert type={p.verified ? 'success' : 'error'} showIcon title={t(p.verified ? 'incident.proof_holds' : 'incident.proof_fails')} />
      <dl className="proof">
        <dt>{t('incident.leaf')}</dt><dd className="mono">{p.leaf}</dd>
        <dt>{t('incident.leaf_hash')}</dt><dd className="mono">{p.leaf_hash}</dd>
        <dt>{t('incident.path')} <Tag variant="outlined">{p.path.length}</Tag></dt><dd><ol className="mono">{p.path.map((h) => <li key={h}>{h}</li>)}</ol></dd>
        <dt>{t('incident.root', { n: p.tree_size })}</dt><dd className="mono">{p.root}</dd>
        <dt>{t('incident.checkpoint')}</dt><dd><pre className="mono">{p.checkpoint || t('incident.no_checkpoint')}</pre></dd>
      </dl>
    </>
  )
}
