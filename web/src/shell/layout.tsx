import { GlobalOutlined, LogoutOutlined, MenuOutlined, MoonOutlined, SearchOutlined, SunOutlined, UserOutlined } from '@ant-design/icons'
import { Button, Drawer, Dropdown, Layout, Menu, Modal, Spin, Tag, type MenuProps } from 'antd'
import { Suspense, useEffect, useRef, useState } from 'react'
import { Link, Outlet, useLocation, useNavigate } from 'react-router'
import { usePhone } from '../parts/list'
import { Banner } from './banner'
import { Boundary } from './boundary'
import { Jump } from './jump'
import { language, speak, useTranslation } from './language'
import { useLive, type Change } from './live'
import { menu } from './menu'
import { signOut, useMay, useMe } from './session'
import { useShade, type Shade } from './theme'

/** Desk is the frame around every page: menu by the guide's phases, who is signed in, the search box and the banner. */
export function Desk() {
  const { t } = useTranslation()
  const me = useMe()
  const may = useMay()
  const phone = usePhone()
  const at = useLocation()
  const go = useNavigate()
  const { shade, dark, choose } = useShade()
  const [drawer, setDrawer] = useState(false)
  const [jump, setJump] = useState(false)
  const [help, setHelp] = useState(false)
  useLive()
  useEffect(() => setDrawer(false), [at.pathname])
  const fresh = useFresh(at.pathname)
  useShortcuts({ jump: () => setJump(true), help: () => setHelp(true), go, may })

  const open = menu.map((g) => ({ ...g, places: g.places.filter((p) => !p.needs || may(p.needs)) })).filter((g) => g.places.length > 0)
  const here = '/' + (at.pathname.split('/')[1] ?? '')
  const item = (p: (typeof open)[number]['places'][number]) => ({ key: p.path, icon: p.icon, label: <Link to={p.path}>{t(p.label)}{fresh > 0 && p.path === '/anomalies' && <strong className="fresh" aria-hidden> ＋{fresh}</strong>}</Link> })
  const nav = (
    <nav aria-label={t('menu.name')}>
      <Menu
        mode="inline"
        theme="light"
        selectedKeys={[here]}
        items={open.flatMap((g): NonNullable<MenuProps['items']> => (g.phase ? [{ type: 'group', key: g.phase, label: t(g.phase), children: g.places.map(item) }] : g.places.map(item)))}
      />
    </nav>
  )
  return (
    <Layout className="desk">
      <a className="skip" href="#main">{t('shell.skip')}</a>
      <Layout.Header className="desk-head">
        {phone && <Button type="text" icon={<MenuOutlined />} aria-label={t('menu.name')} onClick={() => setDrawer(true)} />}
        <Link to="/" className="brand" aria-label={`${t('shell.name')}: ${t('shell.home')}`}>
          <img src="/console/beacon.svg" alt="" width={26} height={26} />
          {!phone && <strong>{t('shell.name')}</strong>}
        </Link>
        {me.drill_id && <Tag color="purple">{t('shell.in_drill')}</Tag>}
        <span className="grow" />
        <span role="status">{fresh > 0 && <Link to="/anomalies" className="fresh">{phone ? `＋${fresh}` : t('shell.fresh', { n: fresh })}</Link>}</span>
        <Button icon={<SearchOutlined />} onClick={() => setJump(true)} aria-label={t('shell.jump')}>{phone ? '' : `${t('shell.jump')} (Ctrl K)`}</Button>
        <Button type="text" icon={<GlobalOutlined />} onClick={() => void speak(language() === 'zh' ? 'en' : 'zh')} data-testid="language">{t('shell.other_language')}</Button>
        <Dropdown
          trigger={['click']}
          menu={{
            selectedKeys: [shade],
            onClick: ({ key }) => choose(key as Shade),
            items: (['auto', 'light', 'dark'] as const).map((s) => ({ key: s, label: t(`shell.shade_${s}` as 'shell.shade_auto') })),
          }}
        >
          <Button type="text" icon={dark ? <MoonOutlined /> : <SunOutlined />} aria-label={t('shell.shade')} />
        </Dropdown>
        <Dropdown
          trigger={['click']}
          menu={{
            items: [
              { key: 'me', icon: <UserOutlined />, label: <Link to="/me">{t('menu.me')}</Link> },
              { key: 'keys', label: t('shell.keys'), onClick: () => setHelp(true) },
              { type: 'divider' },
              { key: 'out', icon: <LogoutOutlined />, label: t('shell.sign_out'), onClick: () => void signOut(false) },
              { key: 'everywhere', label: t('shell.sign_out_everywhere'), onClick: () => void signOut(true) },
            ],
          }}
        >
          <Button type="text" icon={<UserOutlined />} aria-label={t('shell.person', { name: me.name })}>{phone ? '' : me.name}</Button>
        </Dropdown>
      </Layout.Header>
      <Layout>
        {phone ? (
          <Drawer open={drawer} onClose={() => setDrawer(false)} placement="left" size={260} title={t('shell.name')} styles={{ body: { padding: 0 } }}>{nav}</Drawer>
        ) : (
          <Layout.Sider theme="light" width={196} className="desk-side">{nav}</Layout.Sider>
        )}
        <Layout.Content className="desk-body" id="main" tabIndex={-1} role="main">
          <Banner />
          <Boundary at={at.pathname}>
            <Suspense fallback={<Spin className="page-wait" />}>
              <Outlet />
            </Suspense>
          </Boundary>
        </Layout.Content>
      </Layout>
      {jump && <Jump close={() => setJump(false)} />}
      <Modal open={help} onCancel={() => setHelp(false)} footer={null} title={t('shell.keys')}>
        <dl className="keys">
          {(['jump', 'help', 'choose', 'open', 'search', 'export', 'go'] as const).map((k) => (
            <div key={k}>
              <dt>{t(`shell.key_${k}` as 'shell.key_go')}</dt>
              <dd>{t(`shell.key_${k}_does` as 'shell.key_go_does')}</dd>
            </div>
          ))}
          {open.flatMap((g) => g.places).map((p) => p.key && <div key={p.path}><dt><kbd>g</kbd> <kbd>{p.key}</kbd></dt><dd>{t(p.label)}</dd></div>)}
        </dl>
      </Modal>
    </Layout>
  )
}

// How many anomalies rose since the queue was last looked at: whoever is on another page hears of them here.
function useFresh(path: string): number {
  const [n, set] = useState(0)
  const there = path.startsWith('/anomalies')
  useEffect(() => {
    if (there) return set(0)
    const heard = (e: Event) => (e as CustomEvent<Change>).detail.action === 'anomaly.open' && set((n) => n + 1)
    window.addEventListener('fengsui:change', heard)
    return () => window.removeEventListener('fengsui:change', heard)
  }, [there])
  useEffect(() => {
    const plain = document.title.replace(/^\(\d+\) /, '')
    document.title = n > 0 ? `(${n}) ${plain}` : plain
  }, [n, path])
  return n
}

function useShortcuts(does: { jump: () => void; help: () => void; go: (path: string) => void; may: (action: string) => boolean }) {
  const latest = useRef(does)
  latest.current = does
  useEffect(() => {
    let g = 0
    const press = (e: KeyboardEvent) => {
      const d = latest.current
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault()
        return d.jump()
      }
      if (e.ctrlKey || e.metaKey || e.altKey || (e.target as HTMLElement).closest('input,textarea,select,[contenteditable],[role=dialog]')) return
      if (e.key === '?') d.help()
      else if (e.key === 'g') g = Date.now()
      else if (Date.now() - g < 1500) {
        g = 0
        const place = menu.flatMap((m) => m.places).find((p) => p.key === e.key && (!p.needs || d.may(p.needs)))
        if (place) {
          e.preventDefault()
          e.stopPropagation()
          d.go(place.path)
        }
      }
    }
    addEventListener('keydown', press, true)
    return () => removeEventListener('keydown', press, true)
  }, [])
}
