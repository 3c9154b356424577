import { Alert, App, Button, Drawer, Space } from 'antd'
import { useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { useNavigate } from 'react-router'
import { client, type Schema } from '../../api/client'
import { useSend } from '../../parts/act'
import { useDraft } from '../../parts/draft'
import { Failed } from '../../parts/failed'
import { usePhone } from '../../parts/list'

type Flaw = Schema<'PlanFlaw'>

/** NewPlan opens the editor on an empty plan. */
export function NewPlan({ edition }: { edition: string }) {
  const { t } = useTranslation()
  const [open, set] = useState(false)
  const text = `id: my-plan
scenario: ""
title:
  zh: ""
  en: ""
category: "*" # content.false …
level: 3
edition: ${edition}
steps:
  - id: pin_evidence
    title:
      zh: ""
      en: ""
    role: duty_officer
    within_min: 5
    tool: evidence
    output:
      zh: ""
      en: ""
    automatic:
      action: pin_evidence
escalation: []
`
  return <PlanEditor label={t('plans.new')} draft="plan.new" initial={text} open={open} set={set} />
}

/** PlanEditor edits the text of a plan, has the server look it over as it is typed, and files it as a draft. */
export function PlanEditor(p: { label: string; draft: string; initial: string; open: boolean; set: (open: boolean) => void }) {
  return (
    <>
      <Button aria-haspopup="dialog" onClick={() => p.set(true)}>{p.label}</Button>
      {p.open && <Sheet {...p} />}
    </>
  )
}

function Sheet({ label, draft, initial, set }: { label: string; draft: string; initial: string; set: (open: boolean) => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const phone = usePhone()
  const go = useNavigate()
  const [text, write, forget] = useDraft(draft, initial)
  const { flaws, looking, error } = useFlaws(text)
  const { send, busy, error: refused } = useSend()
  const field = useRef<HTMLTextAreaElement>(null)
  const toLine = (line: number) => {
    const start = text.split('\n').slice(0, line - 1).join('\n').length + (line > 1 ? 1 : 0)
    const end = text.indexOf('\n', start)
    field.current?.focus({ preventScroll: true })
    field.current?.setSelectionRange(start, end < 0 ? text.length : end)
    field.current?.closest('.yaml')?.querySelector(`.yaml-lines > :nth-child(${line})`)?.scrollIntoView({ block: 'center' })
  }
  const save = async () => {
    const r = await send((header) => client.POST('/api/v1/plans', { params: { header }, body: { yaml: text } }))
    const filed = (r.data as Schema<'PlanVersion'>[] | undefined)?.[0]
    if (!r.ok || !filed) return
    message.success(filed.state === 'draft' ? t('plans.filed', { n: filed.version }) : t('plans.same', { n: filed.version }))
    forget()
    set(false)
    void go(`/plans/${filed.id}?version=${filed.version}`)
  }
  const sound = !looking && !error && flaws?.length === 0
  return (
    <Drawer
      open
      onClose={() => set(false)}
      size={phone ? '100%' : 980}
      title={label}
      closable={{ 'aria-label': t('common.close') }}
      footer={
        <Space wrap>
          <Button type="primary" disabled={!sound} loading={busy} onClick={() => void save()}>{t('plans.file')} (Ctrl+Enter)</Button>
          <Button onClick={() => set(false)}>{t('plans.later')}</Button>
          {text !== initial && <Button onClick={forget}>{t('plans.reset')}</Button>}
        </Space>
      }
    >
      <p>{t('plans.edit_what')}</p>
      {refused ? <Failed error={refused} /> : null}
      {error ? <Failed error={error} /> : null}
      <div role="status" className="yaml-said">
        {looking || !flaws ? <p>… {t('plans.looking')}</p> : flaws.length === 0 ? <Alert type="success" showIcon title={t('plans.sound')} /> : (
          flaws.map((f) => (
            <Alert key={`${f.line}.${f.path}`} type="error" showIcon title={<>{t('plans.at_line', { line: f.line })}{f.path && <> <span className="mono">{f.path}</span></>}: {f.message}</>} action={<Button size="small" onClick={() => toLine(f.line)}>{t('plans.to_line')}</Button>} />
          ))
        )}
      </div>
      <Lines text={text} write={write} flaws={flaws ?? []} field={field} submit={() => sound && void save()} />
    </Drawer>
  )
}

const lineHeight = 20 // as .yaml has it
const above = 8 // its padding

function Lines({ text, write, flaws, field, submit }: { text: string; write: (v: string) => void; flaws: Flaw[]; field: React.RefObject<HTMLTextAreaElement | null>; submit: () => void }) {
  const { t } = useTranslation()
  const lines = useMemo(() => text.split('\n').length, [text])
  const bad = new Set(flaws.map((f) => f.line))
  return (
    <div className="yaml">
      <div className="yaml-in" style={{ height: lines * lineHeight + 2 * above + 20 }}>
        <div className="yaml-lines" aria-hidden>{Array.from({ length: lines }, (_, n) => <div key={n} className={bad.has(n + 1) ? 'bad' : undefined}>{bad.has(n + 1) ? '✗ ' : ''}{n + 1}</div>)}</div>
        <div className="yaml-text">
          {flaws.map((f) => (
            <div key={`${f.line}.${f.path}`} className="yaml-flaw" style={{ top: above + (f.line - 1) * lineHeight }} aria-hidden><span>✗ {f.message}</span></div>
          ))}
          <textarea
            ref={field}
            value={text}
            spellCheck={false}
            wrap="off"
            aria-label={t('plans.text')}
            aria-invalid={flaws.length > 0}
            onChange={(e) => write(e.target.value)}
            onKeyDown={(e) => {
              if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) submit()
            }}
          />
        </div>
      </div>
    </div>
  )
}

/** useFlaws has the server look a text over when typing rests; an older answer never replaces a newer one. */
function useFlaws(text: string) {
  const [found, setFound] = useState<{ of: string; flaws?: Flaw[]; error?: unknown }>()
  useEffect(() => {
    let gone = false
    const soon = setTimeout(async () => {
      const r = await client.POST('/api/v1/plans/validate', { body: { yaml: text } }).catch((e: unknown) => ({ data: undefined, error: e }))
      if (!gone) setFound({ of: text, flaws: r.data, error: r.error })
    }, 350)
    return () => {
      gone = true
      clearTimeout(soon)
    }
  }, [text])
  return { flaws: found?.flaws, error: found?.error, looking: found?.of !== text }
}
