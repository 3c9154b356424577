import { Button, Empty } from 'antd'
import { useState, type ComponentProps, type ReactNode } from 'react'
import { useTranslation } from '../../shell/language'
import { ActButton, ActForm } from '../../parts/act'
import { useMay } from '../../shell/session'
import { useHere } from './dossier'

/** panels in the order of their number keys; a phone shows them in this order too, clocks first. */
export const panels = ['clocks', 'level', 'orders', 'plan', 'fix', 'outside', 'evidence', 'closing', 'timeline', 'people', 'seconds'] as const

/** Panel is one part of the desk: a heading, what can be done, and what there is. */
export function Panel({ id, title, extra, children }: { id: (typeof panels)[number]; title: string; extra?: ReactNode; children: ReactNode }) {
  const { t } = useTranslation()
  const key = panels.indexOf(id) + 1
  return (
    <section className="panel" id={`p-${id}`} aria-labelledby={`h-${id}`} tabIndex={-1}>
      <header className="panel-head">
        <h2 id={`h-${id}`}>{title}</h2>
        {key <= 9 && <kbd title={t('incident.panel_key', { key })} aria-hidden>{key}</kbd>}
        <span className="grow" />
        {extra}
      </header>
      {children}
    </section>
  )
}

/** Part is a smaller heading inside a panel. */
export function Part({ title, extra, children }: { title: string; extra?: ReactNode; children: ReactNode }) {
  return (
    <div className="part">
      <div className="part-head">
        <h3>{title}</h3>
        <span className="grow" />
        {extra}
      </div>
      {children}
    </div>
  )
}

/** Nothing says that there is nothing, in one line. */
export const Nothing = ({ text }: { text: string }) => <Empty image={null} className="nothing" description={text} />

/** NotYours says that the reader may not see a part, which is no nothing. */
export function NotYours() {
  const { t } = useTranslation()
  return <p className="secondary">🔒 {t('incident.not_yours')}</p>
}

/** Some shows the first of many, and more of them when asked. */
export function Some<T>({ of, each }: { of: T[]; each: (x: T) => ReactNode }) {
  const { t } = useTranslation()
  const [most, setMost] = useState(30)
  return (
    <>
      {of.slice(0, most).map(each)}
      {of.length > most && <li><Button size="small" onClick={() => setMost(most * 4)}>{t('common.more')} ({of.length - most})</Button></li>}
    </>
  )
}

/** Past is what is folded away; it is made when it is first unfolded. */
export function Past<T>({ title, of, each }: { title: string; of: T[]; each: (x: T) => ReactNode }) {
  const [ever, setEver] = useState(false)
  if (of.length === 0) return null
  return (
    <details onToggle={() => setEver(true)}>
      <summary>{title}</summary>
      {ever && <ul className="bare"><Some of={of} each={each} /></ul>}
    </details>
  )
}

type Gate = { needs?: string; not?: string | false }

function useGate({ needs, not }: Gate): 'hidden' | string | undefined {
  const may = useMay()
  if (needs && !may(needs)) return 'hidden'
  return not || undefined
}

function Barred({ label, why }: { label: ReactNode; why: string }) {
  return (
    <span className="barred">
      <Button size="small" disabled>{label}</Button> <small>{why}</small>
    </span>
  )
}

/** Ask is an ActForm of this incident: hidden without the right, and barred with its reason in words. */
export function Ask<V extends object>({ needs, not, as, extraThen, ...p }: Omit<ComponentProps<typeof ActForm<V>>, 'draft' | 'open' | 'onClose' | 'then'> & Gate & { as: string; extraThen?: (data: never) => void }) {
  const { id, open, setOpen, refresh } = useHere()
  const gate = useGate({ needs, not })
  if (gate === 'hidden') return null
  if (gate) return <Barred label={p.label} why={gate} />
  return (
    <ActForm<V>
      {...p}
      button={{ size: 'small', ...p.button }}
      draft={`incident.${id}.${as}`}
      open={open === as ? true : undefined}
      onClose={() => setOpen('')}
      then={(data) => {
        refresh()
        extraThen?.(data)
      }}
    />
  )
}

/** Press is an ActButton of this incident. */
export function Press({ needs, not, ...p }: ComponentProps<typeof ActButton> & Gate) {
  const { refresh } = useHere()
  const gate = useGate({ needs, not })
  if (gate === 'hidden') return null
  if (gate) return <Barred label={p.children} why={gate} />
  return (
    <ActButton
      size="small"
      {...p}
      then={(data) => {
        refresh()
        p.then?.(data)
      }}
    />
  )
}
