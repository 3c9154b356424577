import { Checkbox, Form, Input, InputNumber, Select, Space, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { usePersonName } from '../../parts/names'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'

type Row = Schema<'NotifyStanding'>
type Draft = Schema<'NotifyDraft'>

const signs: Record<string, string> = { pending: '…', sent: '✓', refused: '✗', failed: '‼', dismissed: '–' }

/** Channels by which messages leave. What changes where an alarm goes waits for a second person. */
export function Channels() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const may = useMay()
  const me = useMe()
  const person = usePersonName()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/channels', {}, { refetchInterval: (q) => (q.state.data?.some((c) => c.tested?.state === 'pending') ? 2000 : false) })
  const recipients = [{ value: 'duty', label: t('settings.duty') }, ...options('role')]
  const carries = (c: Row) => c.carries.map((r) => recipients.find((o) => o.value === r)?.label ?? r).join('、')
  const state = (c: Row) => (c.waits ? word('channel.waits', c.waits) : c.fixed ? t('settings.fixed') : word('channel.state', c.state))
  const tested = (c: Row) => (c.tested ? `${word('message.state', c.tested.state)} ${c.tested.says}` : t('settings.never_tested'))
  const decide = (id: string, approve: boolean) => (header: { 'Idempotency-Key': string }) => client.POST('/api/v1/second-signatures/{id}/decide', { params: { path: { id }, header }, body: { approve } })
  return (
    <>
      <p>{t('settings.channels_what')}</p>
      <List<Row>
        name={t('settings.channels')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(c) => c.id}
        empty={t('settings.no_channels')}
        actions={may('setting.manage') && <Edit label={t('settings.add_channel')} then={() => void refetch()} recipients={recipients} />}
        filters={[
          { key: 'class', title: t('settings.class'), options: options('channel.class'), of: (c) => c.class },
          { key: 'waits', title: t('settings.waits'), options: options('channel.waits'), of: (c) => c.waits ?? '' },
        ]}
        columns={[
          { key: 'name', title: t('settings.channel_name'), text: (c) => c.name, show: (c) => <><strong>{c.name}</strong> {c.simulated && <Tag variant="outlined">{t('settings.simulated')}</Tag>}</> },
          { key: 'leads', title: t('settings.leads'), text: (c) => c.shown, show: (c) => <>{c.kind && word('channel.kind', c.kind)} <span className="mono">{c.shown}</span></> },
          { key: 'class', title: t('settings.class'), text: (c) => word('channel.class', c.class) },
          { key: 'carries', title: t('settings.carries'), text: carries },
          { key: 'state', title: t('settings.state'), text: state, show: (c) => <>{c.waits && '… '}{state(c)}{c.asker_id && <><br />{t('settings.asked_by', { name: person(c.asker_id) })}</>}{c.open > 0 && <><br /><span className="clock late">‼ {t('settings.open_messages', { n: c.open })}</span></>}</> },
          {
            key: 'tested',
            title: t('settings.tested'),
            text: tested,
            show: (c) =>
              c.fixed ? t('common.none') : c.tested ? (
                <span role="status">
                  <span aria-hidden>{signs[c.tested.state]} </span>{word('message.state', c.tested.state)} <When ms={c.tested.at_ms} />
                  {c.tested.state === 'pending' && c.tested.attempts > 0 && ` · ${t('settings.attempts', { n: c.tested.attempts })}`}
                  <br /><span className="mono">{c.tested.says}</span>
                </span>
              ) : t('settings.never_tested'),
          },
          { key: 'since', title: t('settings.changed'), wide: true, text: (c) => stamp(c.since_ms), show: (c) => (c.since_ms ? <When ms={c.since_ms} /> : t('common.none')) },
          {
            key: 'act',
            title: t('settings.act'),
            text: () => '',
            show: (c) =>
              c.fixed ? null : c.waits ? (
                c.asker_id === me.id ? (
                  <ActButton size="small" call={(header) => client.POST('/api/v1/second-signatures/{id}/withdraw', { params: { path: { id: c.second! }, header } })} then={() => void refetch()}>{t('settings.withdraw')}</ActButton>
                ) : (
                  <Space wrap>
                    <ActButton size="small" type="primary" call={decide(c.second!, true)} then={() => void refetch()}>{t('settings.confirm')}</ActButton>
                    <ActButton size="small" call={decide(c.second!, false)} then={() => void refetch()}>{t('settings.reject')}</ActButton>
                  </Space>
                )
              ) : (
                may('setting.manage') && (
                  <Space wrap>
                    <ActButton size="small" call={(header) => client.POST('/api/v1/channels/{id}/test', { params: { path: { id: c.id }, header } })} done={t('settings.test_sent')} then={() => void refetch()}>{t('settings.test_channel')}</ActButton>
                    <Edit label={t('settings.change_channel')} of={c} then={() => void refetch()} recipients={recipients} />
                    <ActForm<{ reason: string }>
                      label={t('settings.remove_channel')}
                      title={`${t('settings.remove_channel')} ${c.name}`}
                      draft={`settings.channel.${c.id}.remove`}
                      button={{ size: 'small', danger: true }}
                      done={t('settings.channel_asked')}
                      fields={<Form.Item name="reason" label={t('common.reason')} rules={[{ required: true, message: t('common.required', { name: t('common.reason') }) }]}><Input.TextArea rows={2} maxLength={500} /></Form.Item>}
                      call={(body, header) => client.POST('/api/v1/channels/{id}/remove', { params: { path: { id: c.id }, header }, body })}
                      then={() => void refetch()}
                    />
                  </Space>
                )
              ),
          },
        ]}
      />
    </>
  )
}

/** Edit asks for a new channel or another shape of one. What is secret is typed anew each time: the server does not give it back. */
function Edit(p: { label: string; of?: Row; then: () => void; recipients: { value: string; label: string }[] }) {
  const { t } = useTranslation()
  const { options } = useWords()
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  return (
    <ActForm<Draft & { reason: string }>
      label={p.label}
      draft=""
      button={p.of ? { size: 'small' } : { type: 'primary' }}
      done={t('settings.channel_asked')}
      initial={p.of ? { name: p.of.name, kind: p.of.kind, class: p.of.class, simulated: p.of.simulated, carries: p.of.carries } : { kind: 'webhook', class: 'staff', carries: ['duty'] }}
      fields={
        <>
          <Form.Item name="name" label={t('settings.channel_name')} extra={t('settings.channel_name_what')} rules={must(t('settings.channel_name'))}><Input maxLength={32} disabled={!!p.of} /></Form.Item>
          <Form.Item name="kind" label={t('settings.kind')} rules={must(t('settings.kind'))}><Select options={options('channel.kind')} /></Form.Item>
          <Form.Item name="class" label={t('settings.class')} rules={must(t('settings.class'))}><Select options={options('channel.class')} /></Form.Item>
          <Form.Item noStyle dependencies={['class', 'kind']}>
            {(form) => (
              <>
                {form.getFieldValue('class') === 'staff' ? (
                  <Form.Item name="carries" label={t('settings.carries')} rules={must(t('settings.carries'))}><Select mode="multiple" options={p.recipients} optionFilterProp="label" /></Form.Item>
                ) : (
                  <Form.Item name="simulated" valuePropName="checked"><Checkbox>{t('settings.simulated_what')}</Checkbox></Form.Item>
                )}
                {form.getFieldValue('kind') === 'mail' ? (
                  <>
                    <Form.Item name="host" label={t('settings.host')} rules={must(t('settings.host'))}><Input maxLength={253} /></Form.Item>
                    <Form.Item name="port" label={t('settings.port')}><InputNumber min={1} max={65535} precision={0} /></Form.Item>
                    <Form.Item name="tls" label={t('settings.tls')} initialValue="starttls"><Select options={options('channel.tls')} /></Form.Item>
                    <Form.Item name="from" label={t('settings.from')} rules={must(t('settings.from'))}><Input maxLength={320} inputMode="email" /></Form.Item>
                    <Form.Item name="to" label={t('settings.to')} extra={t('settings.to_what')}><Select mode="tags" open={false} tokenSeparators={[',', ';', ' ']} /></Form.Item>
                    <Form.Item name="username" label={t('settings.username')}><Input maxLength={320} autoComplete="off" /></Form.Item>
                    <Form.Item name="password" label={t('settings.password')}><Input.Password maxLength={500} autoComplete="new-password" /></Form.Item>
                  </>
                ) : (
                  <>
                    <Form.Item name="url" label={t('settings.url')} extra={t('settings.url_what')} rules={must(t('settings.url'))}><Input maxLength={1000} inputMode="url" autoComplete="off" /></Form.Item>
                    <Form.Item name="secret" label={t('settings.secret')} extra={t('settings.secret_what')} rules={must(t('settings.secret'))}><Input.Password maxLength={500} autoComplete="new-password" /></Form.Item>
                  </>
                )}
              </>
            )}
          </Form.Item>
          <Form.Item name="reason" label={t('common.reason')} rules={must(t('common.reason'))}><Input.TextArea rows={2} maxLength={500} /></Form.Item>
        </>
      }
      call={({ reason, ...v }, header) => {
        // Only what the form shows goes out: a channel for an authority carries nobody's messages.
        const channel = Object.fromEntries(Object.entries(v).filter(([k, x]) => x !== undefined && x !== '' && x !== null && (k !== 'carries' || v.class === 'staff'))) as Draft
        return client.POST('/api/v1/channels', { params: { header }, body: { reason, channel } })
      }}
      then={p.then}
    />
  )
}
