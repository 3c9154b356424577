import { Tabs } from 'antd'
import { useTranslation } from '../../shell/language'
import { Navigate, useNavigate, useParams } from 'react-router'
import { Page } from '../../parts/page'
import { useMay } from '../../shell/session'
import { Channels } from './channels'
import { About, Credentials, Figures, Keys, Messages, Roles } from './parts'
import { Nodes } from './nodes'
import { People } from './people'
import { Providers } from './providers'
import { Rules } from './rules'

/** Settings: each part has an address of its own, and is there only for who may read it. */
export default function Settings() {
  const { t } = useTranslation()
  const may = useMay()
  const go = useNavigate()
  const { part } = useParams()
  const parts = [
    { key: 'people', label: t('settings.people'), needs: 'person.manage', children: <People /> },
    { key: 'credentials', label: t('settings.credentials'), needs: 'person.vouch', children: <Credentials /> },
    { key: 'roles', label: t('settings.roles'), needs: '', children: <Roles /> },
    { key: 'keys', label: t('settings.keys'), needs: 'service.read', children: <Keys /> },
    { key: 'nodes', label: t('settings.nodes'), needs: 'order.read', children: <Nodes /> },
    { key: 'providers', label: t('settings.providers'), needs: 'person.manage', children: <Providers /> },
    { key: 'channels', label: t('settings.channels'), needs: 'setting.vouch', children: <Channels /> },
    { key: 'messages', label: t('settings.messages'), needs: 'incident.read', children: <Messages /> },
    { key: 'figures', label: t('settings.figures'), needs: 'status.read', children: <Figures /> },
    { key: 'rules', label: t('settings.rules'), needs: '', children: <Rules /> },
    { key: 'about', label: t('settings.about_short'), needs: '', children: <About /> },
  ].filter((p) => !p.needs || may(p.needs))
  if (!parts.some((p) => p.key === part)) return <Navigate to={`/settings/${parts[0].key}`} replace />
  return (
    <Page title={t('menu.settings')}>
      <Tabs activeKey={part} onChange={(key) => void go(`/settings/${key}`)} items={parts.map(({ needs: _, ...p }) => p)} destroyOnHidden />
    </Page>
  )
}
