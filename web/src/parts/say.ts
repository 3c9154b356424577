import { language, useTranslation } from '../shell/language'

/** useSay gives a text that the server keeps in both languages in the page's; the other one where it is missing. */
export function useSay(): (text: { zh: string; en: string } | undefined) => string {
  useTranslation() // a switch of language renders anew
  return (text) => (text ? text[language()] || text.zh || text.en : '')
}
