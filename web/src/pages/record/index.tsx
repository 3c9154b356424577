import { Tabs } from 'antd'
import { useTranslation } from '../../shell/language'
import { useSearchParams } from 'react-router'
import type { Schema } from '../../api/client'
import { List } from '../../parts/list'
import { Page } from '../../parts/page'
import { useServed } from '../../parts/served'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { EntryPanel } from './entry'
import { Checkpoints, Erasures, Outside, Verify } from './parts'

/** Item is one entry of the record; its number for people is idx + 1. */
export type Item = Schema<'FlowRecordItem'>

/** The record: what was decided, by whom and when, and how anybody can see that none of it was altered. */
export default function Record() {
  const { t } = useTranslation()
  const [params, setParams] = useSearchParams()
  return (
    <Page title={t('menu.record')} lead={t('record.lead')} extra={<Verify />}>
      <Tabs
        activeKey={params.get('part') ?? 'entries'}
        onChange={(part) => setParams({ part })}
        destroyOnHidden
        items={[
          { key: 'entries', label: t('record.entries'), children: <Entries /> },
          { key: 'checkpoints', label: t('record.checkpoints'), children: <Checkpoints /> },
          { key: 'erasures', label: t('record.erasures'), children: <Erasures /> },
          { key: 'outside', label: t('record.outside'), children: <Outside /> },
        ]}
      />
    </Page>
  )
}

function Entries() {
  const { t } = useTranslation()
  const { word } = useWords()
  const [params, setParams] = useSearchParams()
  const served = useServed<Item>('/record', [
    { key: 'action', title: t('record.action'), label: (v) => word('action', v) },
    { key: 'object_kind', title: t('record.object'), label: (v) => word('object', v) },
  ])
  const open = (seq: number) => {
    const next = new URLSearchParams(params)
    if (seq) next.set('entry', String(seq))
    else next.delete('entry')
    setParams(next)
  }
  const seq = Number(params.get('entry') ?? 0)
  return (
    <>
      <List<Item>
        name={t('record.entries')}
        rows={served.rows}
        {...served.list}
        rowKey={(e) => String(e.idx)}
        open={(e) => open(e.idx + 1)}
        empty={t('record.empty')}
        columns={[
          { key: 'seq', title: t('record.seq'), width: 80, text: (e) => e.idx + 1 },
          { key: 'at', title: t('record.at'), text: (e) => stamp(e.at_ms), show: (e) => <When ms={e.at_ms} /> },
          { key: 'action', title: t('record.action'), text: (e) => word('action', e.action), show: (e) => <>{word('action', e.action)}{e.erased && ` · ✂ ${t('record.erased')}`}</> },
          { key: 'object', title: t('record.object'), text: (e) => word('object', e.object_kind) },
          { key: 'actor', title: t('record.actor'), text: (e) => (e.actor_name || e.actor).replace(/^system:/, `${t('record.system')} `) },
          { key: 'id', title: t('record.object_id'), wide: true, text: (e) => e.object_id, show: (e) => <span className="mono">{e.object_id}</span> },
        ]}
      />
      {seq > 0 && <EntryPanel seq={seq} entry={served.rows?.find((e) => e.idx + 1 === seq)} close={() => open(0)} />}
    </>
  )
}
