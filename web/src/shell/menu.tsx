import {
  AlertOutlined, AppstoreOutlined, AuditOutlined, BookOutlined, DashboardOutlined, ExperimentOutlined, FileProtectOutlined, FireOutlined,
  FormOutlined, HighlightOutlined, LinkOutlined, SafetyCertificateOutlined, SettingOutlined, StopOutlined, SwapOutlined,
} from '@ant-design/icons'
import type { ReactNode } from 'react'

/** Place is one page in the menu. Needs is the action that opens it; '' opens it to everybody who is signed in. */
export type Place = { path: string; label: string; needs: string; icon: ReactNode; key?: string }

/** menu follows the guide's phases. Keys: g and then the letter goes there. */
export const menu: { phase: string; places: Place[] }[] = [
  { phase: '', places: [{ path: '/', label: 'menu.overview', needs: 'status.read', icon: <DashboardOutlined />, key: 'o' }] },
  {
    phase: 'menu.prepare',
    places: [
      { path: '/services', label: 'menu.services', needs: 'service.read', icon: <AppstoreOutlined />, key: 's' },
      { path: '/plans', label: 'menu.plans', needs: 'plan.read', icon: <BookOutlined />, key: 'p' },
      { path: '/drills', label: 'menu.drills', needs: 'drill.read', icon: <ExperimentOutlined />, key: 'd' },
      { path: '/lexicon', label: 'menu.lexicon', needs: 'lexicon.read', icon: <HighlightOutlined />, key: 'l' },
    ],
  },
  {
    phase: 'menu.monitor',
    places: [
      { path: '/anomalies', label: 'menu.anomalies', needs: 'anomaly.read', icon: <AlertOutlined />, key: 'a' },
      { path: '/complaints', label: 'menu.complaints', needs: 'complaint.read', icon: <FormOutlined />, key: 'c' },
    ],
  },
  {
    phase: 'menu.respond',
    places: [
      { path: '/incidents', label: 'menu.incidents', needs: 'incident.read', icon: <FireOutlined />, key: 'i' },
      { path: '/orders', label: 'menu.orders', needs: 'order.read', icon: <StopOutlined />, key: 'r' },
      { path: '/gate-reviews', label: 'menu.gate_reviews', needs: 'order.read', icon: <SwapOutlined />, key: 'g' },
      { path: '/seconds', label: 'menu.seconds', needs: '', icon: <AuditOutlined />, key: 'w' },
    ],
  },
  {
    phase: 'menu.improve',
    places: [
      { path: '/compliance', label: 'menu.compliance', needs: 'status.read', icon: <SafetyCertificateOutlined />, key: 'b' },
      { path: '/record', label: 'menu.record', needs: 'record.read', icon: <FileProtectOutlined />, key: 'e' },
    ],
  },
  {
    phase: 'menu.system',
    places: [
      { path: '/settings', label: 'menu.settings', needs: '', icon: <SettingOutlined />, key: 't' },
      { path: '/me', label: 'menu.me', needs: '', icon: <LinkOutlined />, key: 'm' },
    ],
  },
]
