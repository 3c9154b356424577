import { Button } from 'antd'
import { useRef, useState } from 'react'
import { useTranslation } from '../shell/language'
import './copy.css'

/** Copy shows text that somebody is to take elsewhere, with a button that copies it. Label names it to screen readers. */
export function Copy({ text, label }: { text: string; label: string }) {
  const { t } = useTranslation()
  const box = useRef<HTMLPreElement>(null)
  const [copied, setCopied] = useState<boolean>()
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setCopied(true)
    } catch {
      // Without TLS the browser keeps its clipboard: the text is chosen, and Ctrl C takes it.
      getSelection()?.selectAllChildren(box.current!)
      setCopied(document.execCommand('copy'))
    }
    setTimeout(() => setCopied(undefined), 4000)
  }
  return (
    <div className="copy">
      <pre ref={box} tabIndex={0} role="region" aria-label={label}>{text}</pre>
      <Button size="small" onClick={() => void copy()}>{t('common.copy')}</Button>{' '}
      <span role="status">{copied === undefined ? '' : copied ? `✓ ${t('common.copied')}` : t('common.copy_by_hand')}</span>
    </div>
  )
}
