import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'

export type Language = 'zh' | 'en'
const kept = 'fengsui.language'

/** language is what the page speaks; Chinese unless somebody chose English. */
export const language = (): Language => (localStorage.getItem(kept) === 'en' ? 'en' : 'zh')

// One chunk a language, so that only the one that is spoken is loaded.
const load = { zh: () => import('../locale/zh'), en: () => import('../locale/en') }

/** speak switches the page, its dates and the API's sentences. */
export async function speak(l: Language) {
  localStorage.setItem(kept, l)
  const texts = (await load[l]()).default
  if (!i18next.isInitialized) {
    await i18next.use(initReactI18next).init({ lng: l, resources: { [l]: { translation: texts } }, interpolation: { escapeValue: false, prefix: '{', suffix: '}' }, returnNull: false, parseMissingKeyHandler: (key) => `[${key}]` })
  } else {
    i18next.addResourceBundle(l, 'translation', texts)
    await i18next.changeLanguage(l)
  }
  document.documentElement.lang = l === 'zh' ? 'zh-CN' : 'en'
}
