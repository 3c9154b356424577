import { Form, Input, InputNumber, Radio, Select } from 'antd'
import { useTranslation } from '../../shell/language'
import { useWords } from '../../parts/word'

/** Words asks for text. */
export function Words({ name, label, required = true, rows = 3, placeholder, max = 2000, focus }: { name: string | (string | number)[]; label: string; required?: boolean; rows?: number; placeholder?: string; max?: number; focus?: boolean }) {
  const { t } = useTranslation()
  return (
    <Form.Item name={name} label={label} rules={required ? [{ required: true, whitespace: true, message: t('common.required', { name: label }) }] : []}>
      {rows > 1 ? <Input.TextArea className="grow" style={{ minHeight: `calc(${rows}lh + 10px)` }} maxLength={max} placeholder={placeholder} autoFocus={focus} /> : <Input maxLength={max} placeholder={placeholder} autoFocus={focus} />}
    </Form.Item>
  )
}

/** Reason asks why. */
export function Reason({ required = true }: { required?: boolean }) {
  const { t } = useTranslation()
  return <Words name="reason" label={t('common.reason')} required={required} focus />
}

/** Pick asks for one value of an enumeration of the server. */
export function Pick({ name, label, group, required = true, only, hint }: { name: string; label: string; group: string; required?: boolean; only?: string[]; hint?: string }) {
  const { t } = useTranslation()
  const { options } = useWords()
  const list = options(group).filter((o) => !only || only.includes(o.value))
  const rules = required ? [{ required: true, message: t('common.required', { name: label }) }] : []
  return (
    <Form.Item name={name} label={label} rules={rules} extra={hint}>
      {list.length > 0 && list.length <= 5 ? (
        <Radio.Group optionType="button" options={required ? list : [...list, { value: '', label: t('incident.unsaid') }]} />
      ) : (
        <Select showSearch={{ optionFilterProp: 'label' }} allowClear={!required} options={list} />
      )}
    </Form.Item>
  )
}

/** Count asks for a whole number. */
export function Count({ name, label, min = 0 }: { name: string; label: string; min?: number }) {
  return (
    <Form.Item name={name} label={label}>
      <InputNumber min={min} precision={0} className="wide" />
    </Form.Item>
  )
}

/** Yes asks for yes or no, as the API wants it. */
export function Yes({ name, label, yes, no }: { name: string; label: string; yes: string; no: string }) {
  const { t } = useTranslation()
  return (
    <Form.Item name={name} label={label} rules={[{ required: true, message: t('common.required', { name: label }) }]}>
      <Radio.Group optionType="button" options={[{ value: true, label: yes }, { value: false, label: no }]} />
    </Form.Item>
  )
}

/** Moment asks for a time in Beijing as text, which a keyboard types faster than a calendar. */
export function Moment({ name, label, hint }: { name: string; label: string; hint?: string }) {
  const { t } = useTranslation()
  return (
    <Form.Item
      name={name}
      label={label}
      extra={hint}
      rules={[{ required: true, message: t('common.required', { name: label }) }, { validator: (_, v: string) => (!v || beijingMs(v) ? Promise.resolve() : Promise.reject(new Error(t('incident.bad_time')))) }]}
    >
      <Input placeholder="2026-01-31 08:30:00" className="mono" />
    </Form.Item>
  )
}

/** beijingMs reads 2026-01-31 08:30[:05] as Beijing time, in UTC milliseconds; 0 if it is none. */
export function beijingMs(text: string): number {
  const m = /^\s*(\d{4})-(\d{1,2})-(\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?\s*$/.exec(text)
  if (!m) return 0
  const [y, mo, d, h, mi, s] = m.slice(1).map((x) => Number(x ?? 0))
  if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 59) return 0
  return Date.UTC(y, mo - 1, d, h - 8, mi, s)
}

