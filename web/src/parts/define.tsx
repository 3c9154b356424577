import { useTranslation } from '../shell/language'

/** Define says what the numbers beside it count: it opens by key, touch and click, and is in the text. */
export function Define({ text }: { text: string }) {
  const { t } = useTranslation()
  return (
    <details className="define">
      <summary>{t('common.how_counted')}</summary>
      <p>{text}</p>
    </details>
  )
}
