import { startRegistration } from '@simplewebauthn/browser'
import { App, Button, Card, Col, Form, Input, QRCode, Row, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm, useSend } from '../../parts/act'
import { Failed, useSentence } from '../../parts/failed'
import { List } from '../../parts/list'
import { Page } from '../../parts/page'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { signOut, useMe } from '../../shell/session'
import { optionsOf } from '../login'

/** One's own account: password, one-time codes, passkeys, and where one is signed in. */
export default function MePage() {
  const { t } = useTranslation()
  const { word } = useWords()
  const me = useMe()
  const again = api.useQuery('get', '/api/v1/me')
  return (
    <Page title={t('menu.me')} extra={<><Button onClick={() => void signOut(false)}>{t('shell.sign_out')}</Button><Button danger onClick={() => void signOut(true)}>{t('shell.sign_out_everywhere')}</Button></>}>
      <Row gutter={[12, 12]}>
        <Col xs={24} lg={12}>
          <Card size="small" title={<h2>{me.name}</h2>}>
            <p>{t('me.account')}: {me.account || t('common.none')}</p>
            <p>{t('me.roles')}: {me.roles.map((r) => <Tag key={r} variant="outlined">{word('role', r)}</Tag>)}</p>
            <Password />
          </Card>
        </Col>
        <Col xs={24} lg={12}>
          <Card size="small" title={<h2>{t('me.totp')}</h2>}>
            <Totp on={me.totp} changed={() => void again.refetch()} />
          </Card>
        </Col>
        <Col xs={24} lg={12}>
          <Card size="small" title={<h2>{t('me.passkeys')}</h2>}>
            <Passkeys changed={() => void again.refetch()} />
          </Card>
        </Col>
        <Providers />
        <Col xs={24} lg={12}>
          <Card size="small" title={<h2>{t('me.sessions')}</h2>}>
            <Sessions />
          </Card>
        </Col>
      </Row>
    </Page>
  )
}

function Password() {
  const { t } = useTranslation()
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  // What is typed here is secret: it is not kept as a draft.
  const [form] = Form.useForm<{ old: string; new: string; twice: string }>()
  const { send, busy, error } = useSend()
  const { message } = App.useApp()
  return (
    <Form
      form={form}
      layout="vertical"
      disabled={busy}
      onFinish={async (v) => {
        const r = await send(() => client.POST('/api/v1/me/password', { body: { old: v.old, new: v.new } }))
        if (!r.ok) return
        form.resetFields()
        message.success(t('me.password_changed'))
      }}
    >
      {error ? <Failed error={error} /> : null}
      <Form.Item name="old" label={t('me.password_old')} rules={must(t('me.password_old'))}><Input.Password autoComplete="current-password" /></Form.Item>
      <Form.Item name="new" label={t('me.password_new')} extra={t('me.password_rule')} rules={[...must(t('me.password_new')), { min: 12, message: t('me.password_rule') }]}><Input.Password autoComplete="new-password" /></Form.Item>
      <Form.Item name="twice" label={t('me.password_twice')} dependencies={['new']} rules={[...must(t('me.password_twice')), (f) => ({ validator: (_, v) => (!v || v === f.getFieldValue('new') ? Promise.resolve() : Promise.reject(new Error(t('me.password_differs')))) })]}>
        <Input.Password autoComplete="new-password" />
      </Form.Item>
      <Button htmlType="submit" loading={busy}>{t('me.password_change')}</Button>
    </Form>
  )
}

function Totp({ on, changed }: { on: boolean; changed: () => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const sentence = useSentence()
  const [begun, setBegun] = useState<{ secret: string; uri: string }>()
  const [code, setCode] = useState('')
  const { send, busy, error } = useSend()
  const finish = async (path: '/api/v1/me/totp/confirm' | '/api/v1/me/totp/remove') => {
    const r = await send(() => client.POST(path, { body: { code } }))
    if (!r.ok) return
    setBegun(undefined)
    setCode('')
    message.success(t('common.done'))
    changed()
  }
  const field = (
    <Input value={code} onChange={(e) => setCode(e.target.value)} aria-label={t('login.code')} placeholder={t('login.code')} inputMode="numeric" maxLength={6} autoComplete="one-time-code" style={{ width: 160 }} />
  )
  return (
    <>
      {error ? <Failed error={error} /> : null}
      <p>{on ? `✓ ${t('me.totp_on')}` : `✗ ${t('me.totp_off')}`}</p>
      {begun ? (
        <>
          <p>{t('me.totp_scan')}</p>
          <QRCode value={begun.uri} bordered={false} aria-label={t('me.totp_scan')} />
          <p className="mono" data-testid="totp-secret">{begun.secret}</p>
          {field} <Button type="primary" loading={busy} disabled={!/^\d{6}$/.test(code)} onClick={() => void finish('/api/v1/me/totp/confirm')}>{t('me.totp_confirm')}</Button>
        </>
      ) : on ? (
        <>{field} <Button danger loading={busy} disabled={!/^\d{6}$/.test(code)} onClick={() => void finish('/api/v1/me/totp/remove')}>{t('me.totp_remove')}</Button></>
      ) : (
        <Button
          onClick={async () => {
            const r = await client.POST('/api/v1/me/totp/begin').catch((e: unknown) => ({ error: e, data: undefined }))
            if (r.data) setBegun(r.data)
            else message.error(sentence(r.error))
          }}
        >
          {t('me.totp_begin')}
        </Button>
      )}
    </>
  )
}

function Passkeys({ changed }: { changed: () => void }) {
  const { t } = useTranslation()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/me/passkeys')
  const done = () => {
    void refetch()
    changed()
  }
  const add = async (label: string) => {
    const begun = await client.POST('/api/v1/me/passkeys/begin')
    if (begun.error) return begun
    const credential = await startRegistration({ optionsJSON: optionsOf(begun.data.options) })
    return client.POST('/api/v1/me/passkeys/finish', { body: { ceremony: begun.data.ceremony, label, credential: credential as never } })
  }
  return (
    <List<Schema<'LoginPasskey'>>
      name={t('me.passkeys')}
      inAddress={false}
      rows={data}
      error={error}
      rowKey={(p) => p.id}
      empty={t('me.no_passkeys')}
      filters={[{ key: 'day', title: t('me.created'), of: (p) => stamp(p.created_ms).slice(0, 10) }]}
      columns={[
        { key: 'label', title: t('me.label'), text: (p) => p.label },
        { key: 'created', title: t('me.created'), text: (p) => stamp(p.created_ms), show: (p) => <When ms={p.created_ms} /> },
        { key: 'act', title: t('me.act'), text: () => '', show: (p) => <ActButton size="small" danger call={() => client.POST('/api/v1/me/passkeys/{id}/remove', { params: { path: { id: p.id } } })} then={done}>{t('common.remove')}</ActButton> },
      ]}
      actions={
        <ActForm<{ label: string }>
          label={t('me.add_passkey')}
          draft="me.passkey"
          fields={<Form.Item name="label" label={t('me.label')} extra={t('me.label_what')} rules={[{ required: true, message: t('common.required', { name: t('me.label') }) }]}><Input maxLength={60} /></Form.Item>}
          call={(v) => add(v.label)}
          then={done}
        />
      }
    />
  )
}

/** What identity providers call this person; nothing where no provider is registered. */
function Providers() {
  const { t } = useTranslation()
  const ways = api.useQuery('get', '/api/v1/login/ways')
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/me/oidc')
  const all = ways.data?.oidc ?? []
  if (all.length === 0) return null
  const name = (id: string) => all.find((p) => p.id === id)?.name ?? id
  return (
    <Col xs={24} lg={12}>
      <Card size="small" title={<h2>{t('me.providers')}</h2>}>
        <List<Schema<'LoginBinding'>>
          name={t('me.providers')}
          inAddress={false}
          rows={data}
          error={error ?? undefined}
          loading={isLoading}
          rowKey={(b) => b.id}
          empty={t('me.no_bindings')}
          filters={[{ key: 'provider', title: t('me.provider'), of: (b) => b.provider_id, label: name }]}
          columns={[
            { key: 'provider', title: t('me.provider'), text: (b) => name(b.provider_id), show: (b) => <>{name(b.provider_id)} {b.waiting && <Tag variant="outlined">{t('me.waiting')}</Tag>}</> },
            { key: 'subject', title: t('me.subject'), text: (b) => b.subject, show: (b) => <span className="mono">{b.subject}</span> },
            { key: 'act', title: t('me.act'), text: () => '', show: (b) => <ActButton size="small" danger call={(header) => client.POST('/api/v1/me/oidc/{id}/remove', { params: { path: { id: b.id }, header } as never })} then={() => void refetch()}>{t('me.unbind')}</ActButton> },
          ]}
          actions={all
            .filter((p) => !data?.some((b) => b.provider_id === p.id && !b.waiting))
            .map((p) => (
              <ActButton key={p.id} size="small" call={() => client.POST('/api/v1/me/oidc/{id}/begin', { params: { path: { id: p.id } } })} then={(away: { url: string }) => window.location.assign(away.url)}>
                {t('me.bind', { name: p.name })}
              </ActButton>
            ))}
        />
      </Card>
    </Col>
  )
}

function Sessions() {
  const { t } = useTranslation()
  const { data, error, refetch } = api.useQuery('get', '/api/v1/me/sessions')
  return (
    <List<Schema<'LoginSession'>>
      name={t('me.sessions')}
      inAddress={false}
      rows={data}
      error={error}
      rowKey={(s) => s.id}
      empty={t('me.no_sessions')}
      filters={[{ key: 'which', title: t('me.agent'), of: (s) => (s.current ? t('me.this_one') : t('me.others')) }]}
      columns={[
        { key: 'agent', title: t('me.agent'), text: (s) => s.agent, show: (s) => <>{s.agent} {s.current && <Tag color="green" variant="outlined">✓ {t('me.this_one')}</Tag>}</> },
        { key: 'seen', title: t('me.seen'), text: (s) => stamp(s.seen_ms), show: (s) => <When ms={s.seen_ms} /> },
        { key: 'act', title: t('me.act'), text: () => '', show: (s) => !s.current && <ActButton size="small" danger call={() => client.POST('/api/v1/me/sessions/{id}/end', { params: { path: { id: s.id } } })} then={() => void refetch()}>{t('me.end_session')}</ActButton> },
      ]}
    />
  )
}
