import { startAuthentication } from '@simplewebauthn/browser'
import { useQueryClient } from '@tanstack/react-query'
import { Alert, Button, Card, Divider, Form, Input, Spin } from 'antd'
import { useRef, useState } from 'react'
import { useLocation, useNavigate } from 'react-router'
import { api, client } from '../../api/client'
import { Failed } from '../../parts/failed'
import { language, speak, useTranslation } from '../../shell/language'

/** Log-in by password and code, by passkey, or by the house's own provider. */
export default function Login() {
  const { t } = useTranslation()
  const go = useNavigate()
  const at = useLocation()
  const queries = useQueryClient()
  const [form] = Form.useForm<{ account: string; password: string; code?: string }>()
  const [needsCode, setNeedsCode] = useState(false)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const code = useRef<HTMLInputElement>(null)
  const ways = api.useQuery('get', '/api/v1/login/ways')
  const { back: asked, ended } = (at.state as { back?: string; ended?: boolean } | null) ?? {}
  const back = asked && !asked.startsWith('/login') ? asked : '/'

  const attempt = async (what: () => Promise<void>) => {
    setBusy(true)
    setError(undefined)
    try {
      await what()
    } catch (e) {
      setError(e)
    } finally {
      setBusy(false)
    }
  }
  const enter = async () => {
    queries.clear()
    await go(back, { replace: true })
  }
  const byPassword = (v: { account: string; password: string; code?: string }) =>
    attempt(async () => {
      const r = await client.POST('/api/v1/login/password', { body: { account: v.account, password: v.password, ...(v.code ? { code: v.code } : {}) } })
      if (r.error) throw r.error
      if (r.data.state === 'in') return enter()
      setNeedsCode(true)
      setTimeout(() => code.current?.focus(), 50)
    })
  const byPasskey = () =>
    attempt(async () => {
      const begun = await client.POST('/api/v1/login/passkey/begin')
      if (begun.error) throw begun.error
      const credential = await startAuthentication({ optionsJSON: optionsOf(begun.data.options) })
      const r = await client.POST('/api/v1/login/passkey/finish', { body: { ceremony: begun.data.ceremony, credential: credential as never } })
      if (r.error) throw r.error
      return enter()
    })
  return (
    <main className="login">
      <Card className="login-card">
        <h1><img src="/console/beacon.svg" alt="" width={30} height={30} /> {t('shell.name')}</h1>
        {ways.error ? <Failed error={ways.error} retry={() => void ways.refetch()} /> : null}
        {ways.isLoading && <Spin />}
        {ways.data?.demo && <Alert type="info" showIcon title={ways.data.demo} />}
        {ended && !error && <Alert type="warning" showIcon title={t('login.ended')} />}
        {error ? <LoginFailed error={error} /> : null}
        <Form form={form} layout="vertical" onFinish={byPassword} disabled={busy} requiredMark={false}>
          <Form.Item name="account" label={t('login.account')} rules={[{ required: true, message: t('common.required', { name: t('login.account') }) }]}>
            <Input autoComplete="username webauthn" autoFocus />
          </Form.Item>
          <Form.Item name="password" label={t('login.password')} rules={[{ required: true, message: t('common.required', { name: t('login.password') }) }]}>
            <Input.Password autoComplete="current-password" />
          </Form.Item>
          {needsCode && (
            <Form.Item name="code" label={t('login.code')} extra={t('login.code_what')} rules={[{ required: true, pattern: /^\d{6}$/, message: t('login.code_shape') }]}>
              <Input ref={(r) => void (code.current = r?.input ?? null)} inputMode="numeric" autoComplete="one-time-code" maxLength={6} />
            </Form.Item>
          )}
          <Button type="primary" htmlType="submit" block loading={busy}>{t('login.enter')}</Button>
        </Form>
        <Divider plain>{t('login.or')}</Divider>
        {ways.data?.passkey && <Button block onClick={byPasskey} disabled={busy}>{t('login.passkey')}</Button>}
        {ways.data?.oidc.map((o) => <Button key={o.id} block href={`/login/oidc/${encodeURIComponent(o.id)}`} className="gap-top">{t('login.oidc', { name: o.name })}</Button>)}
        <p className="login-foot">
          <a href="/complaint">{t('login.complaint')}</a> · <a href="/status">{t('login.status')}</a> ·{' '}
          <Button type="link" size="small" onClick={() => void speak(language() === 'zh' ? 'en' : 'zh')}>{t('shell.other_language')}</Button>
        </p>
      </Card>
    </main>
  )
}

// The browser's own refusals (cancelled, no such key) are no problem document.
function LoginFailed({ error }: { error: unknown }) {
  const { t } = useTranslation()
  if (error instanceof Error && error.name === 'NotAllowedError') return <Alert type="warning" showIcon role="alert" title={t('login.passkey_cancelled')} />
  return <Failed error={error} />
}

/** optionsOf unwraps what the server's library wraps as publicKey. */
export function optionsOf<T>(o: unknown): T {
  return ((o as { publicKey?: T }).publicKey ?? o) as T
}
