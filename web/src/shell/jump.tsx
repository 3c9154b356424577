import { Empty, Input, List as Plain, Modal, Tag, type InputRef } from 'antd'
import { useDeferredValue, useEffect, useRef, useState } from 'react'
import { useTranslation } from './language'
import { useNavigate } from 'react-router'
import { api } from '../api/client'
import { useWords } from '../parts/word'
import { menu } from './menu'
import { useMay } from './session'

type Hit = { path: string; label: string; tag: string }

/** Jump is the search over everything (Ctrl K): pages, incidents, anomalies, orders. Arrows choose, Enter goes. */
export function Jump({ close }: { close: () => void }) {
  const { t } = useTranslation()
  const may = useMay()
  const { word } = useWords()
  const go = useNavigate()
  const [typed, setTyped] = useState('')
  const [chosen, setChosen] = useState(0)
  const q = useDeferredValue(typed.trim())
  const box = useRef<InputRef>(null)
  useEffect(() => box.current?.focus(), [])
  const { data } = api.useQuery('get', '/api/v1/search', { params: { query: { q } } }, { enabled: q.length > 0 })
  const named = (h: { kind: string; title: string }) => (h.kind === 'order' ? word('rung', h.title) : h.kind === 'anomaly' ? word('signal_rule', h.title) : h.title)
  const pages: Hit[] = menu
    .flatMap((g) => g.places)
    .filter((p) => (!p.needs || may(p.needs)) && t(p.label).toLowerCase().includes(q.toLowerCase()))
    .map((p) => ({ path: p.path, label: t(p.label), tag: t('shell.page') }))
  const found: Hit[] = (data ?? []).map((h) => ({ path: pathOf(h), label: [h.kind === 'order' ? '' : h.number, named(h)].filter(Boolean).join(' · '), tag: t(`shell.hit_${h.kind}` as 'shell.hit_incident') }))
  const hits = q ? [...found, ...pages] : pages
  const open = (h: Hit | undefined) => {
    if (!h) return
    go(h.path)
    close()
  }
  return (
    <Modal open onCancel={close} footer={null} closable={false} title={t('shell.jump')} className="jump">
      <Input
        ref={box}
        value={typed}
        placeholder={t('shell.jump_what')}
        aria-label={t('shell.jump')}
        onChange={(e) => {
          setTyped(e.target.value)
          setChosen(0)
        }}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown') setChosen(Math.min(chosen + 1, hits.length - 1))
          else if (e.key === 'ArrowUp') setChosen(Math.max(chosen - 1, 0))
          else if (e.key === 'Enter') open(hits[chosen])
          else return
          e.preventDefault()
        }}
      />
      <Plain
        size="small"
        dataSource={hits.slice(0, 12)}
        locale={{ emptyText: <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={t('shell.jump_nothing')} /> }}
        renderItem={(h, n) => (
          <Plain.Item className={n === chosen ? 'chosen can-open' : 'can-open'} onClick={() => open(h)}>
            <span>{h.label}</span> <Tag>{h.tag}</Tag>
          </Plain.Item>
        )}
      />
    </Modal>
  )
}

/** pathOf is where a found thing is shown. */
export function pathOf(h: { kind: string; id: string }): string {
  const part = { channel: 'channels', setting: 'figures' }[h.kind]
  if (part) return `/settings/${part}`
  const place = { incident: '/incidents', anomaly: '/anomalies', order: '/orders', complaint: '/complaints', drill: '/drills', service: '/services', plan: '/plans' }[h.kind]
  return place ? `${place}/${h.id}` : '/'
}
