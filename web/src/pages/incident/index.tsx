import { PrinterOutlined } from '@ant-design/icons'
import { Alert, Button, Spin, Tag, Typography } from 'antd'
import { memo, useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { Link, useParams } from 'react-router'
import { Failed } from '../../parts/failed'
import { usePhone } from '../../parts/list'
import { Ago, stamp, useNow } from '../../parts/when'
import { KindTag, LevelTag, useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'
import { BigClock, Clocks } from './clocks'
import { Closing, Seconds } from './closing'
import { doneStages, nextStep, seesAll, stages, unknownStages, type Step } from './course'
import { HereProvider, useDossier, useHere, type Dossier } from './dossier'
import { Evidence } from './evidence'
import { Fix } from './fix'
import { Level } from './level'
import { AtHand, Orders } from './orders'
import { Outside } from './outside'
import { panels } from './parts'
import { People } from './people'
import { Plan } from './plan'
import { Timeline } from './timeline'

/** The desk of one incident: the whole story on one screen, with what to do next. */
export default function Incident() {
  const { id = '' } = useParams()
  const { data, error, refetch, refresh } = useDossier(id)
  if (error && !data) return <Failed error={error} retry={() => void refetch()} />
  if (!data) return <Spin className="page-wait" />
  return <Opened d={data} id={id} refresh={refresh} />
}

function Opened({ d, id, refresh }: { d: Dossier; id: string; refresh: () => void }) {
  const [open, setOpen] = useState('')
  const latest = useRef(refresh)
  latest.current = refresh
  const here = useMemo(() => ({ d, id, open, setOpen, refresh: () => latest.current() }), [d, id, open])
  return (
    <HereProvider value={here}>
      <Desk />
    </HereProvider>
  )
}

const go = (panel: string) => {
  const at = document.getElementById(`p-${panel}`)
  at?.scrollIntoView({ block: 'start' })
  at?.focus({ preventScroll: true })
}

function Desk() {
  const { d } = useHere()
  useEffect(() => {
    document.title = `${d.incident.number} · ${document.title.split(' · ').at(-1)}`
  }, [d.incident.number])
  return (
    <div className="incident">
      <Lead />
      <Parts />
    </div>
  )
}

// The step looks at the time each second, and must not have the whole desk drawn anew.
function Lead() {
  const step = useStep()
  useKeys(step)
  return <Head step={step} />
}

const Parts = memo(function Parts() {
  return usePhone() ? (
    <>
      <Anchors />
      <Clocks /><Level /><Orders /><Seconds /><Plan /><Fix /><Outside /><Evidence /><Closing /><People /><Timeline />
    </>
  ) : (
    <div className="incident-columns">
      <div><Clocks /><Level /></div>
      <div><Orders /><Plan /><Fix /><Outside /></div>
      <div><Seconds /><Timeline /><Evidence /><Closing /><People /></div>
    </div>
  )
})

/** useStep is what to do next, with a way to do it and whether the person may. */
function useStep() {
  const me = useMe()
  const may = useMay()
  const now = useNow()
  const { d, setOpen } = useHere()
  const step = nextStep(d, now, me.id, may)
  const mine = !!step && (!step.needs || may(step.needs))
  const start = () => {
    if (!step) return
    go(step.panel)
    if (mine) setOpen(step.form)
  }
  return { step, mine, start }
}

type Next = ReturnType<typeof useStep>

function Head({ step: { step, mine, start } }: { step: Next }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const { d } = useHere()
  const i = d.incident
  return (
    <header className="incident-head">
      <div className="incident-title">
        <Typography.Title level={1} className="page-title">
          <KindTag kind={i.kind} />
          <span className="mono">{i.number}</span> {i.title}
        </Typography.Title>
        <div className="row">
          <Tag variant="outlined">{word('incident.state', i.state)}</Tag>
          <LevelTag level={d.level.final ?? d.level.working} working={d.level.working > 0 && d.level.final === null} />
          {i.restricted && <Tag color="purple" variant="outlined">🔒 {t('incident.restricted')}</Tag>}
          {i.legal_hold && <Tag color="purple" variant="outlined">⚖ {t('incident.held_mark')}</Tag>}
          {d.missing_evidence.length > 0 && <Tag color="red" variant="outlined">‼ {t('incident.missing_evidence', { n: d.missing_evidence.length })}</Tag>}
          <Link to={`/services/${i.service_id}`}>{d.service_name}</Link>
          <span className="secondary" title={stamp(i.declared_ms)}>{t('incident.declared')} <Ago ms={i.declared_ms} /></span>
          {d.anomalies.slice(0, 3).map((a) => <Link key={a.id} to={`/anomalies/${a.id}`}>{a.number}</Link>)}
          <a href={`/incidents/${i.id}/print`} target="_blank" rel="noreferrer"><PrinterOutlined /> {t('incident.print')}</a>
        </div>
        <Course step={step} />
      </div>
      <div className="incident-next">
        <BigClock />
        {step ? (
          <div>
            <Button type="primary" size="large" title="n" onClick={start} disabled={!mine} aria-describedby="next-why">▶ {t(`incident.next_${step.do}` as 'incident.next_order')}</Button>
            <small id="next-why">{mine ? t('incident.next_key') : t('incident.not_you')}</small>
          </div>
        ) : (
          <Alert type={seesAll(d) ? 'success' : 'info'} title={t(seesAll(d) ? 'incident.nothing_left' : 'incident.rest_unseen')} showIcon />
        )}
      </div>
    </header>
  )
}

/** Course is the guide's way with what lies behind and where the incident stands; each stage is said in words too. */
function Course({ step }: { step: Step | undefined }) {
  const { t } = useTranslation()
  const { d } = useHere()
  const done = doneStages(d)
  const unknown = unknownStages(d)
  return (
    <ol className="course" aria-label={t('incident.course')}>
      {stages.map((s) => {
        const how = step?.stage === s ? 'current' : done.has(s) ? 'done' : unknown.has(s) ? 'unknown' : 'todo'
        return (
          <li key={s} className={how} aria-current={how === 'current' ? 'step' : undefined}>
            <span aria-hidden>{how === 'current' ? '▶' : how === 'done' ? '✓' : how === 'unknown' ? '?' : '○'}</span> {t(`incident.stage_${s}` as 'incident.stage_detect')}
            <span className="unseen">{t(`incident.stage_is_${how}` as 'incident.stage_is_done')}</span>
          </li>
        )
      })}
    </ol>
  )
}

/** Anchors lead to the parts on a phone. */
function Anchors() {
  const { t } = useTranslation()
  return (
    <div className="at-hand">
      <AtHand />
      <nav className="anchors" aria-label={t('incident.parts')}>
        {panels.map((p) => (
          <a key={p} href={`#p-${p}`} onClick={(e) => (e.preventDefault(), go(p))}>{t(`incident.tab_${p}` as 'incident.tab_clocks')}</a>
        ))}
      </nav>
    </div>
  )
}

/** Keys: 1…9 go to a panel, o an order, l the level, n the next step, t the timeline. */
function useKeys(next: Next) {
  const { setOpen } = useHere()
  const may = useMay()
  const latest = useRef({ next, may })
  latest.current = { next, may }
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if (e.ctrlKey || e.metaKey || e.altKey || (e.target as HTMLElement).closest('input,textarea,select,[contenteditable],[role=dialog],[role=combobox]') || document.querySelector('.ant-modal-wrap:not([style*="none"])')) return
      const form = (panel: string, name: string, needs: string) => {
        go(panel)
        if (latest.current.may(needs)) setOpen(name)
      }
      if (/^[1-9]$/.test(e.key) && panels[Number(e.key) - 1]) go(panels[Number(e.key) - 1])
      else if (e.key === 'o') form('orders', 'order', 'order.issue')
      else if (e.key === 'l') form('level', 'assess', 'incident.grade')
      else if (e.key === 'n') latest.current.next.start()
      else if (e.key === 't') go('timeline')
      else return
      e.preventDefault()
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [setOpen])
}
