import { Alert } from 'antd'
import { useEffect, useState } from 'react'
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from './language'
import { Ago } from '../parts/when'
import { answered, unreachable, useLink } from './link'

/**
 * Banner says when the server does not answer: what is shown is old, what was typed is kept. It asks again every few
 * seconds, and has everything read anew when the server is back.
 */
export function Banner() {
  const { t } = useTranslation()
  const link = useLink()
  const queries = useQueryClient()
  const [back, setBack] = useState(false)
  useEffect(() => {
    if (link.up) return
    const ask = async () => {
      try {
        const r = await fetch('/readyz', { signal: AbortSignal.timeout(4000) })
        if (r.status >= 500 && !r.headers.get('Content-Type')?.includes('json')) return unreachable()
        answered(r.headers.get('Date'))
        setBack(true)
        void queries.invalidateQueries()
      } catch {
        unreachable()
      }
    }
    const every = setInterval(() => void ask(), 2000)
    return () => clearInterval(every)
  }, [link.up, queries])
  useEffect(() => {
    if (!back || !link.up) return
    const hide = setTimeout(() => setBack(false), 6000)
    return () => clearTimeout(hide)
  }, [back, link.up])
  if (!link.up) return <Alert banner type="error" showIcon role="alert" data-testid="lost" title={t('shell.lost')} description={<>{t('shell.lost_what')} <Ago ms={link.sinceMs} /></>} />
  if (back) return <Alert banner type="success" showIcon role="status" data-testid="back" title={t('shell.back')} />
  return null
}
