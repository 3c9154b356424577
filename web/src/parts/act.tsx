import { App, Button, Form, Modal, type ButtonProps, type FormInstance } from 'antd'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { useTranslation } from '../shell/language'
import { isProblem } from '../api/client'
import { Failed, useSentence } from './failed'
import { forgetDraft, keepDraft, readDraft } from './draft'

/** Sent is what a call of the client gives. */
type Sent = Promise<{ error?: unknown; data?: unknown }>

/**
 * useSend runs a call that changes something. The same attempt keeps its Idempotency-Key until an answer came, so that
 * pressing again after a lost connection does nothing twice.
 */
export function useSend() {
  const key = useRef(crypto.randomUUID())
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const send = async (call: (headers: { 'Idempotency-Key': string }) => Sent): Promise<{ ok: boolean; data?: unknown; error?: unknown }> => {
    setBusy(true)
    setError(undefined)
    try {
      const { error, data } = await call({ 'Idempotency-Key': key.current })
      if (error) throw error
      key.current = crypto.randomUUID()
      return { ok: true, data }
    } catch (e) {
      if (!isProblem(e) || (e.status !== 0 && e.status < 500)) key.current = crypto.randomUUID()
      setError(e)
      return { ok: false, error: e }
    } finally {
      setBusy(false)
    }
  }
  return { send, busy, error, clear: () => setError(undefined) }
}

/** ActButton does something at once that needs no words: it tells the outcome. */
export function ActButton({ call, done, then, ...button }: ButtonProps & { call: (h: { 'Idempotency-Key': string }) => Sent; done?: string; then?: (data: never) => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const sentence = useSentence()
  const { send, busy } = useSend()
  return (
    <Button
      {...button}
      loading={busy}
      onClick={async () => {
        const r = await send(call)
        if (!r.ok) message.error(sentence(r.error), 8)
        else {
          message.success(done ?? t('common.done'))
          then?.(r.data as never)
        }
      }}
    />
  )
}

type Asking<V extends object> = {
  label: string
  title?: string
  draft: string // names what is typed: `anomaly.ID.dismiss`; '' keeps it nowhere, as for a secret
  initial?: Partial<V>
  fields: ReactNode | ((form: FormInstance<V>) => ReactNode)
  call: (values: V, h: { 'Idempotency-Key': string }) => Sent
  then?: (data: never) => void
  done?: string | ((data: never) => string)
  submit?: string
  button?: ButtonProps
  wide?: boolean
  open?: boolean // opened from elsewhere, such as by a key
  onClose?: () => void
}

/**
 * ActForm is a button that opens a form in a dialog, and sends it. What was typed is kept in this tab until it was sent.
 * The fields are Form.Items; a problem that names a field is shown at that field, others above the form.
 */
export function ActForm<V extends object>(p: Asking<V>) {
  const [opened, setOpened] = useState(false)
  const open = p.open ?? opened
  const [ever, setEver] = useState(open) // a page has dozens of these: the dialog is made when it is first wanted
  if (open && !ever) setEver(true)
  const close = () => {
    setOpened(false)
    p.onClose?.()
  }
  return (
    <>
      {p.label && <Button {...p.button} aria-haspopup="dialog" onClick={() => setOpened(true)}>{p.label}</Button>}
      {ever && <Dialog<V> {...p} open={open} close={close} />}
    </>
  )
}

function Dialog<V extends object>({ open, close, ...p }: Asking<V> & { open: boolean; close: () => void }) {
  const { t } = useTranslation()
  const { message } = App.useApp()
  const [form] = Form.useForm<V>()
  const { send, busy, error, clear } = useSend()
  useEffect(() => {
    if (open) form.setFieldsValue({ ...p.initial, ...(p.draft ? readDraft<Partial<V>>(p.draft) : undefined) } as never)
  }, [open, p.draft]) // eslint-disable-line
  const submit = async () => {
    const values = await form.validateFields().catch(() => undefined)
    if (!values) return
    const r = await send((h) => p.call(values, h))
    if (r.ok) {
      forgetDraft(p.draft)
      form.resetFields()
      message.success((typeof p.done === 'function' ? p.done(r.data as never) : p.done) ?? t('common.done'))
      close()
      p.then?.(r.data as never)
    } else if (isProblem(r.error) && r.error.field) {
      const name = r.error.field.split('.')
      if (form.getFieldInstance(name as never)) form.setFields([{ name: name as never, errors: [r.error.detail] }])
    }
  }
  return (
    <Modal
      title={p.title ?? p.label}
      open={open}
      onCancel={() => {
        clear()
        close()
      }}
      onOk={submit}
      okText={p.submit ?? t('common.submit')}
      cancelText={t('common.cancel')}
      confirmLoading={busy}
      width={p.wide ? 860 : 560}
      destroyOnHidden
      forceRender={false}
    >
      {error ? <Failed error={error} /> : null}
      <Form<V>
        form={form}
        layout="vertical"
        initialValues={p.initial}
        onValuesChange={(_, all) => p.draft && keepDraft(p.draft, all)}
        onKeyDown={(e) => {
          if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) void submit()
        }}
        disabled={busy}
      >
        {typeof p.fields === 'function' ? p.fields(form) : p.fields}
      </Form>
    </Modal>
  )
}
