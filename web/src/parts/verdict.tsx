import { Alert, Button, Descriptions, Modal, Spin } from 'antd'
import { useState } from 'react'
import { Link } from 'react-router'
import { api, type Schema } from '../api/client'
import { useTranslation } from '../shell/language'
import { useMay } from '../shell/session'
import { Define } from './define'
import { Failed } from './failed'
import { List, usePhone } from './list'
import { When } from './when'
import { useWords } from './word'

type Decision = Schema<'BehaviourDecision'>
type Hit = Schema<'InspectHit'>
type Text = Schema<'InspectText'>
type Place = Pick<Text, 'side' | 'channel' | 'choice' | 'part'>

/** Of is whose request it is: one of an anomaly's, by content number, or that of an evidence capsule. */
type Of = { anomaly: string; content: string } | { evidence: string }

/** Why opens what the gateway decided about one request and for what reasons. It quotes nothing, so nothing is unmasked. */
export function Why({ of, name }: { of: Of; name: string }) {
  const { t } = useTranslation()
  const [open, setOpen] = useState(false)
  return (
    <>
      <Button size="small" type="link" aria-haspopup="dialog" aria-label={`${t('verdict.why')} ${name}`} onClick={() => setOpen(true)}>{t('verdict.why')}</Button>
      {open && (
        <Modal open width={860} footer={null} onCancel={() => setOpen(false)} title={<>{t('verdict.title')} <span className="mono">{name}</span></>} closable={{ 'aria-label': t('common.close') }}>
          <Told of={of} />
        </Modal>
      )}
    </>
  )
}

function Told({ of }: { of: Of }) {
  const about = 'anomaly' in of
  const a = api.useQuery('get', '/api/v1/anomalies/{id}/verdict', { params: { path: { id: about ? of.anomaly : '' }, query: { content_no: about ? of.content : '' } } }, { enabled: about })
  const e = api.useQuery('get', '/api/v1/evidence/{id}/verdict', { params: { path: { id: about ? '' : of.evidence } } }, { enabled: !about })
  const { data, error, refetch } = about ? a : e
  if (error) return <Failed error={error} retry={() => void refetch()} />
  return data ? <Decided d={data} /> : <Spin />
}

function Decided({ d }: { d: Decision }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const may = useMay()
  const phone = usePhone()
  if (d.told === 'nothing') return <Alert type="info" showIcon title={t('verdict.nothing')} />
  const v = d.verdict
  const whole = d.told === 'verdict'
  const cost = v.cost
  return (
    <>
      {!whole && <Alert type="info" showIcon title={t('verdict.hits_only')} />}
      {d.uninspected > 0 && <Alert type="warning" showIcon title={t('verdict.uninspected', { n: d.uninspected })} />}
      <Descriptions
        size="small"
        column={phone ? 1 : 2}
        items={[
          { key: 'input', label: t('verdict.input'), children: word('verdict', d.input) },
          { key: 'output', label: t('verdict.output'), children: word('verdict', d.output) },
          { key: 'ended', label: t('verdict.ended'), children: <When ms={d.ended_ms} /> },
          { key: 'released', label: t('verdict.released'), children: t('verdict.characters', { n: d.released_runes }) },
          { key: 'posture', label: t('verdict.posture'), children: <span>{d.posture_no > 0 && t('verdict.posture_no', { n: d.posture_no })} <span className="mono" title={v.rules?.digest}>{v.rules?.digest?.replace('sha256:', '').slice(0, 12)}</span>{v.rules?.revision ? ` · ${t('verdict.revision', { n: v.rules.revision })}` : ''}</span> },
          { key: 'orders', label: t('verdict.orders'), children: d.order_ids.length === 0 ? t('common.none') : <span>{d.order_ids.map((id) => <span key={id} className="mono">{may('order.read') ? <Link to={`/orders/${id}`}>{id}</Link> : id} </span>)}</span> },
          ...(whole
            ? [
                { key: 'held', label: t('verdict.held'), children: v.held ? `${t('verdict.characters', { n: v.held })} · ${word('held_for', v.why ?? '')}` : t('verdict.not_held') },
                { key: 'waited', label: t('verdict.waited'), children: cost?.asked ? t('verdict.waited_for', { n: cost.asked, ms: Math.round((cost.wait_us ?? 0) / 1000) }) : t('verdict.not_asked') },
              ]
            : []),
          { key: 'cost', label: t('verdict.cost'), children: whole ? t('verdict.cost_of', { us: cost?.us ?? 0, bytes: cost?.bytes ?? 0 }) : t('verdict.microseconds', { us: cost?.us ?? 0 }) },
          { key: 'gateway', label: t('verdict.gateway'), children: <span className="mono">{d.gateway_id}</span> },
        ]}
      />
      <h3>{t('verdict.risks')}</h3>
      {!v.risks?.length ? <p className="secondary">{t('verdict.no_risks')}</p> : (
        <table className="plain">
          <thead><tr><th>{t('verdict.risk')}</th><th>{t('verdict.action')}</th><th>{t('verdict.score')}</th><th>{t('verdict.hits')}</th></tr></thead>
          <tbody>{v.risks.map((r) => <tr key={r.risk}><td>{word('risk', r.risk) || t('verdict.no_risk')}</td><td>{word('verdict', r.action)}</td><td>{score(r.score)}</td><td>{r.hits}</td></tr>)}</tbody>
        </table>
      )}
      <h3>{t('verdict.hits')}</h3>
      <Hits rows={v.hits ?? []} />
      {!!v.more_hits && <p className="secondary">{t('verdict.more_hits', { n: v.more_hits })}</p>}
      {whole && (
        <>
          <h3>{t('verdict.texts')}</h3>
          <Texts rows={v.texts ?? []} />
          {!!v.more_texts && <p className="secondary">{t('verdict.more_texts', { n: v.more_texts })}</p>}
        </>
      )}
      <Define text={t('verdict.how')} />
    </>
  )
}

/** score is a probability, or 1 for what is certain. */
const score = (x: number) => (x === 1 ? '1' : x.toFixed(3))

/** usePlace names one text of a conversation: side, channel, and which message or choice. */
function usePlace(): (p: Place) => string {
  const { t } = useTranslation()
  const { word } = useWords()
  return (p) => {
    const n = (p.choice ?? 0) + 1
    const which = n < 1 || p.channel === 'definition' ? '' : p.side === 'input' ? t('verdict.message', { n }) : t('verdict.choice', { n })
    return [word('side', p.side ?? ''), which, word('text_channel', p.channel), p.part].filter(Boolean).join(' · ')
  }
}

function Hits({ rows }: { rows: Hit[] }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const place = usePlace()
  const kind = (k: string) => [word('hit_kind', k), word('check_kind', k)].find((w) => w !== k) ?? k
  // How it stood there, where that is not plain: disguised, or inside an encoding.
  const how = (h: Hit) =>
    [
      h.via === 'sound' && t('verdict.via_sound'),
      h.via === 'spelling' && t('verdict.via_spelling'),
      h.via === 'parts' && t('verdict.via_parts'),
      h.gap && t(h.via === 'repeats' ? 'verdict.via_repeats' : 'verdict.gaps', { n: h.gap }),
      h.encoding,
    ]
      .filter(Boolean)
      .join(' · ')
  return (
    <List<Hit & { n: string }>
      name={t('verdict.hits')}
      inAddress={false}
      rows={rows.map((h, n) => ({ ...h, n: String(n) }))}
      rowKey={(h) => h.n}
      empty={t('verdict.no_hits')}
      filters={[
        { key: 'action', title: t('verdict.action'), of: (h) => h.action, label: (x) => word('verdict', x) },
        { key: 'kind', title: t('verdict.kind'), of: (h) => h.kind, label: kind },
      ]}
      columns={[
        { key: 'place', title: t('verdict.place'), text: place },
        { key: 'span', title: t('verdict.span'), text: (h) => t('verdict.span_of', { first: h.first_rune + 1, last: h.end_rune, start: h.start, end: h.end }) },
        { key: 'rule', title: t('verdict.rule'), text: (h) => `${kind(h.kind)} ${h.rule_id}`, show: (h) => <>{kind(h.kind)} <span className="mono">{h.rule_id}</span></> },
        { key: 'action', title: t('verdict.action'), text: (h) => word('verdict', h.action) },
        { key: 'score', title: t('verdict.score'), text: (h) => score(h.score ?? 1) },
        { key: 'how', title: t('verdict.disguise'), text: how, wide: true },
      ]}
    />
  )
}

function Texts({ rows }: { rows: Text[] }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const place = usePlace()
  const action = (x: Text) => x.action ?? 'allow'
  return (
    <List<Text & { n: string }>
      name={t('verdict.texts')}
      inAddress={false}
      rows={rows.map((x, n) => ({ ...x, n: String(n) }))}
      rowKey={(x) => x.n}
      empty={t('verdict.no_texts')}
      filters={[
        { key: 'action', title: t('verdict.action'), of: action, label: (x) => word('verdict', x) },
        { key: 'side', title: t('verdict.side'), of: (x) => x.side ?? '', label: (x) => word('side', x) },
      ]}
      columns={[
        { key: 'place', title: t('verdict.place'), text: place },
        { key: 'action', title: t('verdict.action'), text: (x) => word('verdict', action(x)) + (x.missed ? ` · ${t('verdict.missed', { n: x.missed })}` : '') },
        { key: 'bytes', title: t('verdict.bytes'), text: (x) => x.bytes ?? 0 },
        { key: 'held', title: t('verdict.held'), text: (x) => (x.held ? `${t('verdict.characters', { n: x.held })} · ${word('held_for', x.why ?? '')}` : t('common.none')) },
      ]}
    />
  )
}
