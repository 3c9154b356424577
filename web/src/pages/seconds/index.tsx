import { Space } from 'antd'
import { useTranslation } from '../../shell/language'
import { Link } from 'react-router'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { usePersonName } from '../../parts/names'
import { Page } from '../../parts/page'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { pathOf } from '../../shell/jump'

type Row = Schema<'FlowAsked'>

/** What waits for a second person: by me to decide, and asked by me. */
export default function Seconds() {
  const { t } = useTranslation()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/second-signatures')
  const shared = { error: error ?? undefined, loading: isLoading, reload: () => void refetch() }
  return (
    <Page title={t('menu.seconds')} lead={t('seconds.lead')}>
      <h2>{t('seconds.for_me')}</h2>
      <Requests name={t('seconds.for_me')} rows={data?.for_me} empty={t('seconds.none_for_me')} mine={false} {...shared} />
      <h2>{t('seconds.by_me')}</h2>
      <Requests name={t('seconds.by_me')} rows={data?.by_me} empty={t('seconds.none_by_me')} mine {...shared} />
    </Page>
  )
}

function Requests(p: { name: string; rows: Row[] | undefined; empty: string; mine: boolean; error?: unknown; loading: boolean; reload: () => void }) {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const person = usePersonName()
  const asked = (action: string) => [word('action', action), word('permission', action)].find((w) => w !== action) ?? action
  // What is to change is said where it is a value; the rest is read where the link leads.
  const wish = (r: Row) => {
    if (r.object_kind === 'setting') return `${word('setting', r.object_id)} → ${word(`setting.${r.object_id}`, plain(r.request))}`
    const about = [r.rung && word('rung', r.rung), r.service_name, r.incident_number].filter(Boolean).join(' · ')
    return r.object_kind === 'channel' ? word('channel.waits', plain(r.request)) : about
  }
  const decide = (r: Row, approve: boolean) => (header: { 'Idempotency-Key': string }) => client.POST('/api/v1/second-signatures/{id}/decide', { params: { path: { id: r.id }, header }, body: { approve } })
  return (
    <List<Row>
      {...p}
      inAddress={false}
      rowKey={(r) => r.id}
      filters={[{ key: 'state', title: t('seconds.state'), options: options('second.state'), of: (r) => r.state }]}
      columns={[
        { key: 'what', title: t('seconds.what'), text: (r) => [asked(r.action), wish(r)].filter(Boolean).join(' · '), show: (r) => <>{asked(r.action)} · {wish(r) && <><strong>{wish(r)}</strong> · </>}<Link to={r.incident_id ? `/incidents/${r.incident_id}` : pathOf({ kind: r.object_kind, id: r.object_id })}>{word('object', r.object_kind)}</Link></> },
        { key: 'reason', title: t('common.reason'), text: (r) => r.reason },
        ...(p.mine ? [] : [{ key: 'by', title: t('seconds.by'), text: (r: Row) => person(r.requested_by) }]),
        { key: 'state', title: t('seconds.state'), text: (r) => word('second.state', r.state) },
        { key: 'at', title: t('seconds.at'), text: (r) => stamp(r.requested_ms), show: (r) => <When ms={r.requested_ms} /> },
        {
          key: 'act',
          title: t('seconds.act'),
          text: () => '',
          show: (r) =>
            r.state !== 'requested' ? null : p.mine ? (
              <ActButton size="small" call={(header) => client.POST('/api/v1/second-signatures/{id}/withdraw', { params: { path: { id: r.id }, header } })} then={p.reload}>{t('seconds.withdraw')}</ActButton>
            ) : (
              <Space>
                <ActForm
                  label={t('seconds.confirm')}
                  title={asked(r.action)}
                  draft=""
                  button={{ size: 'small', type: 'primary' }}
                  submit={t('seconds.confirm')}
                  fields={<><p><strong>{wish(r) || word('object', r.object_kind)}</strong></p><p>{person(r.requested_by)}：{r.reason}</p></>}
                  call={(_, header) => decide(r, true)(header)}
                  then={p.reload}
                />
                <ActButton size="small" call={decide(r, false)} then={p.reload}>{t('seconds.reject')}</ActButton>
              </Space>
            ),
        },
      ]}
    />
  )
}

/** plain is what a request asks for, where that is one word. */
function plain(request: string): string {
  try {
    const v: unknown = JSON.parse(request)
    return typeof v === 'string' || typeof v === 'number' ? String(v) : ''
  } catch {
    return ''
  }
}
