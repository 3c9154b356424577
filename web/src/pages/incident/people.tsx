import { Form, Select, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client } from '../../api/client'
import { useWords } from '../../parts/word'
import { useMay } from '../../shell/session'
import { useHere } from './dossier'
import { Reason } from './fields'
import { Ask, Panel, Part } from './parts'
import { partsOf, rolesWaited } from './team'

/** People are who has a part in the incident, who is waited for, and who may know of it. */
export function People() {
  const { t } = useTranslation()
  const { word } = useWords()
  const { d, id } = useHere()
  const may = useMay()
  const parts = partsOf(d)
  const { data: directory } = api.useQuery('get', '/api/v1/persons/directory', {}, { enabled: may('person.pick'), staleTime: 60_000 })
  return (
    <Panel id="people" title={t('incident.people')}>
      {rolesWaited(d).length > 0 && <p className="row">{t('incident.waited_for')} {rolesWaited(d).map(([role, n]) => <Tag key={role} color="gold" variant="outlined">… {word('role', role)} {n}</Tag>)}</p>}
      <ul className="bare">
        {parts.map(([who, list]) => (
          <li key={who}><strong>{d.names[who]}</strong> <small className="secondary">{list.map((p) => t(`incident.part_${p}` as 'incident.part_declared')).join('、')}</small></li>
        ))}
      </ul>
      {d.unseen.length > 0 && <p className="secondary">{t('incident.people_unseen')}</p>}
      <Part
        title={t('incident.knowing')}
        extra={
          <>
            <Ask<{ people: string[] }>
              as="restrict"
              needs="incident.restrict"
              label={t(d.incident.restricted ? 'incident.let_in' : 'incident.restrict')}
              call={(body, headers) => client.POST('/api/v1/incidents/{id}/restrict', { params: { path: { id } }, headers, body })}
              fields={
                <Form.Item name="people" label={t('incident.who_may')} extra={t('incident.you_too')} rules={[{ required: true, message: t('common.required', { name: t('incident.who_may') }) }]}>
                  <Select mode="multiple" showSearch={{ optionFilterProp: 'label' }} options={(directory ?? []).map((p) => ({ value: p.id, label: `${p.name}（${p.roles.map((r: string) => word('role', r)).join('、')}）` }))} />
                </Form.Item>
              }
            />
            {d.incident.restricted && (
              <Ask<{ reason: string }>
                as="unrestrict"
                needs="incident.restrict"
                label={t('incident.unrestrict')}
                submit={t('incident.ask_second')}
                call={(body, headers) => client.POST('/api/v1/incidents/{id}/unrestrict', { params: { path: { id } }, headers, body })}
                fields={<Reason />}
              />
            )}
          </>
        }
      >
        <p className="row">{d.incident.restricted ? <>🔒 {d.access.map((p) => d.names[p]).filter(Boolean).join('、')}</> : t('incident.all_roles')}</p>
      </Part>
      <Part
        title={t('incident.hold')}
        extra={
          d.incident.legal_hold ? (
            <Ask<{ reason: string }> as="release" needs="record.hold" label={t('incident.release')} submit={t('incident.ask_second')} call={(body, headers) => client.POST('/api/v1/incidents/{id}/release-hold', { params: { path: { id } }, headers, body })} fields={<Reason />} />
          ) : (
            <Ask<{ reason: string }> as="hold" needs="record.hold" label={t('incident.put_hold')} call={(body, headers) => client.POST('/api/v1/incidents/{id}/hold', { params: { path: { id } }, headers, body })} fields={<Reason />} />
          )
        }
      >
        <p className="row">{t(d.incident.legal_hold ? 'incident.held' : 'incident.not_held')}</p>
      </Part>
    </Panel>
  )
}
