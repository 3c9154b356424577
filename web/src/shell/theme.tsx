import { App as AntApp, ConfigProvider, theme } from 'antd'
import enUS from 'antd/locale/en_US'
import zhCN from 'antd/locale/zh_CN'
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react'
import { language, useTranslation } from './language'
import { nonce } from './nonce'

export type Shade = 'auto' | 'light' | 'dark'
const kept = 'fengsui.shade'
const dark = matchMedia('(prefers-color-scheme: dark)')
const still = matchMedia('(prefers-reduced-motion: reduce)').matches

const Shades = createContext<{ shade: Shade; dark: boolean; choose: (s: Shade) => void }>({ shade: 'auto', dark: false, choose: () => {} })

/** useShade is the chosen shade and whether the page is dark now. */
export const useShade = () => useContext(Shades)

export function Theme({ children }: { children: ReactNode }) {
  useTranslation()
  const [shade, setShade] = useState<Shade>((localStorage.getItem(kept) as Shade | null) ?? 'auto')
  const [system, setSystem] = useState(dark.matches)
  useEffect(() => {
    const changed = () => setSystem(dark.matches)
    dark.addEventListener('change', changed)
    return () => dark.removeEventListener('change', changed)
  }, [])
  const isDark = shade === 'dark' || (shade === 'auto' && system)
  useEffect(() => {
    document.documentElement.dataset.shade = isDark ? 'dark' : 'light'
    document.documentElement.style.colorScheme = isDark ? 'dark' : 'light'
  }, [isDark])
  const choose = (s: Shade) => {
    localStorage.setItem(kept, s)
    setShade(s)
  }
  return (
    <Shades value={{ shade, dark: isDark, choose }}>
      <ConfigProvider
        locale={language() === 'en' ? enUS : zhCN}
        csp={{ nonce }}
        wave={{ disabled: still }}
        button={{ autoInsertSpace: false }} // a name that is read aloud must hold the text that is seen
        theme={{
          algorithm: isDark ? theme.darkAlgorithm : theme.defaultAlgorithm,
          // Contrast of at least 4.5 : 1 for small text in both shades.
          // In the dark a red that can be read as text is too light for white letters on it.
          components: isDark ? { Button: { dangerColor: '#1a0000' }, Menu: { itemSelectedColor: '#f0935f' }, Tabs: { itemSelectedColor: '#f0935f', itemHoverColor: '#f0935f', itemActiveColor: '#f0935f' } } : {},
          // Motion is switched off here and not by CSS: dialogs wait for the end of theirs before they go away.
          token: isDark
            ? { motion: !still, colorPrimary: '#d15f21', colorError: '#ff7875', colorLink: '#f0935f', colorTextDescription: '#b3b3b3', colorTextTertiary: '#b0b0b0', colorTextPlaceholder: '#9a9a9a' }
            : { motion: !still, colorPrimary: '#b4481a', colorPrimaryHover: '#bf4d1c', colorLink: '#9a3b12', colorTextDescription: '#5c5c5c', colorTextTertiary: '#5c5c5c', colorTextPlaceholder: '#707070', colorSuccess: '#237804', colorWarning: '#ad6800', colorError: '#cf1322' },
        }}
      >
        <AntApp>{children}</AntApp>
      </ConfigProvider>
    </Shades>
  )
}
