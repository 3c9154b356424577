import { Alert, Button, Tag } from 'antd'
import { useEffect, useState } from 'react'
import { useTranslation } from '../../shell/language'
import { client, type Schema } from '../../api/client'
import { Define } from '../../parts/define'
import { Why } from '../../parts/verdict'
import { When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useHere, useWho } from './dossier'
import { Reason } from './fields'
import { Ask, Nothing, Panel, Part, Press } from './parts'

type Text = { prompt: string; answer: string }

/** Evidence is what was kept at first sight, masked, and whom the harm reached. */
export function Evidence() {
  const { t } = useTranslation()
  const { d, id } = useHere()
  const [shown, show] = useState<Record<string, Text>>({})
  return (
    <Panel
      id="evidence"
      title={t('incident.evidence')}
      extra={<Press needs="evidence.pin" call={(headers) => client.POST('/api/v1/incidents/{id}/evidence', { params: { path: { id } }, headers })}>{t('incident.pin')}</Press>}
    >
      {d.missing_evidence.length > 0 && (
        <Alert
          type="error"
          showIcon
          role="alert"
          title={t('incident.missing_evidence', { n: d.missing_evidence.length })}
          description={<details><summary>{t('incident.which')}</summary><span className="mono">{d.missing_evidence.join('  ')}</span></details>}
        />
      )}
      {d.evidence.length === 0 && <Nothing text={t('incident.no_evidence')} />}
      <ul className="bare scroll" aria-label={t('incident.evidence')}>
        {d.evidence.map((e) => <Capsule key={e.id} e={e} text={shown[e.id]} show={(x) => show((old) => ({ ...old, [e.id]: x as Text }))} />)}
      </ul>
      <ReachPart />
    </Panel>
  )
}

function Capsule({ e, text, show }: { e: Schema<'Evidence'>; text?: Text; show: (x: Text | undefined) => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  return (
    <li className="duty">
      <p className="row">
        <Tag variant="outlined">{word('side', e.side)}</Tag>
        <span className="mono">{e.content_no}</span>
        <span className="grow" />
        <Why of={{ evidence: e.id }} name={e.content_no} />
        {text ? (
          <Button size="small" onClick={() => show(undefined)}>{t('incident.mask_again')}</Button>
        ) : (
          <Ask<{ reason: string }>
            as={`unmask.${e.id}`}
            needs="evidence.unmask"
            label={t('incident.unmask')}
            title={t('incident.unmask_what')}
            button={{ 'aria-label': `${t('incident.unmask')} ${e.content_no}` }}
            call={(body, headers) => client.POST('/api/v1/evidence/{id}/unmask', { params: { path: { id: e.id } }, headers, body })}
            extraThen={(x) => show(x as Text)}
            fields={<><Alert type="warning" showIcon title={t('incident.unmask_recorded')} /><Reason /></>}
          />
        )}
      </p>
      <p className="row secondary">{word('kind', e.kind)} · <When ms={e.pinned_ms} /> {who(e.pinned_by)} · <span className="mono" title={e.sha256}>SHA-256 {e.sha256.slice(0, 16)}…</span></p>
      {text && (
        <>
          <Veiled label={t('incident.prompt')} text={text.prompt} />
          <Veiled label={t('incident.answer')} text={text.answer} />
        </>
      )}
    </li>
  )
}

/** Veiled keeps text covered until it is asked for, and covers it again after a minute. */
function Veiled({ label, text }: { label: string; text: string }) {
  const { t } = useTranslation()
  const [open, setOpen] = useState(false)
  useEffect(() => {
    if (!open) return
    const cover = setTimeout(() => setOpen(false), 60_000)
    return () => clearTimeout(cover)
  }, [open])
  return (
    <div>
      <p className="row"><strong>{label}</strong> <Button size="small" type="link" aria-expanded={open} onClick={() => setOpen(!open)}>{t(open ? 'incident.cover' : 'incident.uncover', { n: [...text].length })}</Button></p>
      <div className="masked" aria-label={label}>{open ? text : '▒'.repeat(Math.min(24, [...text].length))}</div>
    </div>
  )
}

function ReachPart() {
  const { t } = useTranslation()
  const { d, id } = useHere()
  const r = d.reach
  return (
    <Part
      title={t('incident.reach')}
      extra={<Press needs="incident.handle" call={(headers) => client.POST('/api/v1/incidents/{id}/reach', { params: { path: { id } }, headers })}>{t('incident.compute_reach')}</Press>}
    >
      {r.answers === 0 ? <Nothing text={t('incident.no_reach')} /> : (
        <dl className="facts">
          <div><dt>{t('incident.reach_subjects')}</dt><dd>{r.subjects}{r.unknown_answers > 0 && ` + ≤ ${r.unknown_answers}`}</dd></div>
          <div><dt>{t('incident.reach_answers')}</dt><dd>{r.answers}</dd></div>
          <div><dt>{t('incident.reach_runes')}</dt><dd>{r.released_runes}</dd></div>
          <div><dt>{t('incident.reach_time')}</dt><dd><When ms={r.first_ms} /> — <When ms={r.last_ms} /></dd></div>
        </dl>
      )}
      <Define text={t('incident.what_reach')} />
    </Part>
  )
}
