import { Alert, Descriptions, Drawer, Spin } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, isProblem } from '../../api/client'
import { Failed } from '../../parts/failed'
import { usePhone } from '../../parts/list'
import { When } from '../../parts/when'
import { useWords } from '../../parts/word'
import type { Item } from '.'

/** EntryPanel draws the way from one entry up to the root that a checkpoint signs. */
export function EntryPanel({ seq, entry, close }: { seq: number; entry: Item | undefined; close: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const phone = usePhone()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/record/{seq}/proof', { params: { path: { seq } } })
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 720} title={t('record.entry', { n: seq })} closable={{ 'aria-label': t('common.close') }}>
      {entry && (
        <Descriptions
          size="small"
          column={1}
          items={[
            { key: 'action', label: t('record.action'), children: word('action', entry.action) },
            { key: 'object', label: t('record.object'), children: <>{word('object', entry.object_kind)} <span className="mono">{entry.object_id}</span></> },
            { key: 'actor', label: t('record.actor'), children: entry.actor_name || entry.actor },
            { key: 'at', label: t('record.at'), children: <When ms={entry.at_ms} /> },
          ]}
        />
      )}
      <h2>{t('record.proof')}</h2>
      {isProblem(error) && error.key === 'record.not_signed_yet' ? <Alert type="info" showIcon title={t('record.not_covered', { n: seq })} /> : error ? <Failed error={error} retry={() => void refetch()} /> : !data ? <Spin /> : (
        <>
          <Alert type={data.verified ? 'success' : 'error'} showIcon title={data.verified ? `✓ ${t('record.proven')}` : `✗ ${t('record.not_proven')}`} description={data.problem} />
          <ol className="proof" tabIndex={0} aria-label={t('record.proof')}>
            <li><h3>{t('record.leaf')}</h3><p>{t('record.leaf_what')}</p><pre className="masked mono">{data.leaf}</pre></li>
            <li><h3>{t('record.leaf_hash')}</h3><p className="mono">{data.leaf_hash}</p></li>
            {data.path.map((hash, n) => <li key={n}><h3>{t('record.step', { n: n + 1 })}</h3><p className="mono">{hash}</p></li>)}
            <li><h3>{t('record.root', { n: data.tree_size })}</h3><p className="mono">{data.root}</p></li>
            <li><h3>{t('record.checkpoint')}</h3><p>{t('record.signer')} <span className="mono">{data.signer}</span></p><pre className="masked mono">{data.checkpoint}</pre></li>
          </ol>
        </>
      )}
    </Drawer>
  )
}
