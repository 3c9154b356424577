import i18next, { type TFunction } from 'i18next'
import { useSyncExternalStore } from 'react'

export type Language = 'zh' | 'en'
const kept = 'fengsui.language'

let spoken: Language = localStorage.getItem(kept) === 'en' ? 'en' : 'zh'

/** language is what the page speaks; Chinese unless somebody chose English. */
export const language = (): Language => spoken

// react-i18next copies the whole of i18next whenever a component asks for its texts; in a table that is most of the work.
let texts: { t: TFunction } = { t: i18next.t }
const hearers = new Set<() => void>()
const hear = (tell: () => void) => {
  hearers.add(tell)
  return () => void hearers.delete(tell)
}

/** useTranslation gives the page's texts; a switch of language renders anew. The same t stays until then. */
export const useTranslation = () => useSyncExternalStore(hear, () => texts)

// One chunk a language, so that only the one that is spoken is loaded.
const load = { zh: () => import('../locale/zh'), en: () => import('../locale/en') }

/** speak switches the page, its dates and the API's sentences. */
export async function speak(l: Language) {
  localStorage.setItem(kept, l)
  const loaded = (await load[l]()).default
  if (!i18next.isInitialized) {
    await i18next.init({ lng: l, resources: { [l]: { translation: loaded } }, interpolation: { escapeValue: false, prefix: '{', suffix: '}' }, returnNull: false, parseMissingKeyHandler: (key) => `[${key}]` })
  } else {
    i18next.addResourceBundle(l, 'translation', loaded)
    await i18next.changeLanguage(l)
  }
  spoken = l
  texts = { t: i18next.getFixedT(l) }
  hearers.forEach((tell) => tell())
  document.documentElement.lang = l === 'zh' ? 'zh-CN' : 'en'
}
