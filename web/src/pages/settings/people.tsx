import { Drawer, Form, Input, Select, Space, Tag } from 'antd'
import { useState } from 'react'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { List, usePhone } from '../../parts/list'
import { stamp, When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMe } from '../../shell/session'
import { Once, type Shown } from './once'

type Person = Schema<'Listed'>

/** People who may sign in: their roles, links to set up an account, and tokens for programs. */
export function People() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const me = useMe()
  const [chosen, choose] = useState<Person>()
  const [shown, show] = useState<Shown>()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/persons')
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  const roles = (p: Person) => p.roles.map((r) => word('role', r)).join('、')
  return (
    <>
      <List<Person>
        name={t('settings.people')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(p) => p.id}
        open={choose}
        empty={t('settings.no_people')}
        filters={[
          { key: 'role', title: t('settings.role'), options: options('role').filter((o) => data?.some((p) => p.roles[0] === o.value)), of: (p) => p.roles[0] ?? '' },
          { key: 'active', title: t('settings.state'), options: [{ value: 'yes', label: t('settings.active') }, { value: 'no', label: t('settings.left') }], of: (p) => (p.active ? 'yes' : 'no') },
        ]}
        columns={[
          { key: 'name', title: t('settings.name'), sort: true, text: (p) => p.name, show: (p) => <>{p.name} {p.id === me.id && <Tag variant="outlined">{t('settings.you')}</Tag>}</> },
          { key: 'roles', title: t('settings.roles'), text: roles },
          { key: 'active', title: t('settings.state'), text: (p) => (p.active ? t('settings.active') : t('settings.left')), show: (p) => (p.active ? `✓ ${t('settings.active')}` : `✗ ${t('settings.left')}`) },
          { key: 'created', title: t('settings.added'), sort: true, wide: true, text: (p) => stamp(p.created_ms), show: (p) => <When ms={p.created_ms} /> },
        ]}
        actions={
          <ActForm<{ name: string; roles: string[] }>
            label={t('settings.add_person')}
            draft="settings.person"
            button={{ type: 'primary' }}
            fields={
              <>
                <Form.Item name="name" label={t('settings.name')} rules={must(t('settings.name'))}><Input maxLength={100} /></Form.Item>
                <Form.Item name="roles" label={t('settings.roles')} extra={t('settings.roles_what')} rules={must(t('settings.roles'))}><Select mode="multiple" options={options('role')} showSearch={{ optionFilterProp: 'label' }} /></Form.Item>
              </>
            }
            call={(v, header) => client.POST('/api/v1/persons', { params: { header }, body: v })}
            done={t('settings.person_added')}
            then={(p: Person) => {
              void refetch()
              choose({ ...p, roles: p.roles ?? [] })
            }}
          />
        }
      />
      {chosen && <PersonPanel person={data?.find((p) => p.id === chosen.id) ?? chosen} close={() => choose(undefined)} show={show} changed={() => void refetch()} />}
      <Once shown={shown} close={() => show(undefined)} />
    </>
  )
}

function PersonPanel({ person, close, show, changed }: { person: Person; close: () => void; show: (s: Shown) => void; changed: () => void }) {
  const { t } = useTranslation()
  const { word } = useWords()
  const phone = usePhone()
  const me = useMe()
  const path = { id: person.id }
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/persons/{id}/tokens', { params: { path } })
  const state = (k: Schema<'IdentityToken'>) => (k.revoked_ms ? t('settings.revoked') : k.waiting ? t('settings.waiting') : t('settings.good'))
  return (
    <Drawer open onClose={close} size={phone ? '100%' : 760} title={person.name} closable={{ 'aria-label': t('common.close') }}>
      <p>{person.roles.map((r) => <Tag key={r} variant="outlined">{word('role', r)}</Tag>)}</p>
      {person.active ? (
        <Space wrap className="panel-acts">
          <ActButton
            type="primary"
            call={(header) => client.POST('/api/v1/persons/{id}/invitation', { params: { path, header } })}
            then={(i: Schema<'FlowInvited'>) => show({ what: t('settings.invitation_for', { name: person.name }), value: i.url, waiting: i.waiting, expiresMs: i.expires_ms })}
          >
            {t('settings.invite')}
          </ActButton>
          <ActForm<{ label?: string; days: number }>
            label={t('settings.issue_token')}
            draft={`settings.token.${person.id}`}
            initial={{ days: 30 }}
            fields={
              <>
                <Form.Item name="label" label={t('settings.token_label')} extra={t('settings.token_what')} rules={[{ required: true, message: t('common.required', { name: t('settings.token_label') }) }]}><Input maxLength={100} /></Form.Item>
                <Form.Item name="days" label={t('settings.lifetime')}><Select options={[1, 7, 30, 90, 365].map((n) => ({ value: n, label: t('settings.days', { n }) })).concat({ value: 0, label: t('settings.forever') })} /></Form.Item>
              </>
            }
            call={(v, header) => client.POST('/api/v1/persons/{id}/tokens', { params: { path, header }, body: { label: v.label, lifetime_ms: v.days * 86_400_000 } })}
            then={(k: Schema<'TokenIssued'>) => {
              void refetch()
              show({ what: t('settings.token_for', { name: person.name }), value: k.token, waiting: k.waiting })
            }}
          />
          {person.id !== me.id && (
            <ActForm<object>
              label={t('settings.deactivate')}
              draft={`settings.deactivate.${person.id}`}
              button={{ danger: true }}
              fields={<p>{t('settings.deactivate_what', { name: person.name })}</p>}
              submit={t('settings.deactivate')}
              call={(_, header) => client.POST('/api/v1/persons/{id}/deactivate', { params: { path, header } })}
              then={changed}
            />
          )}
        </Space>
      ) : (
        <p>✗ {t('settings.left_what')}</p>
      )}
      <h2>{t('settings.tokens')}</h2>
      <List<Schema<'IdentityToken'>>
        name={t('settings.tokens')}
        inAddress={false}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        rowKey={(k) => k.id}
        empty={t('settings.no_tokens')}
        filters={[{ key: 'state', title: t('settings.state'), of: state }]}
        columns={[
          { key: 'label', title: t('settings.token_label'), text: (k) => k.label || t('common.none') },
          { key: 'state', title: t('settings.state'), text: state },
          { key: 'created', title: t('settings.added'), wide: true, text: (k) => stamp(k.created_ms), show: (k) => <When ms={k.created_ms} /> },
          { key: 'expires', title: t('settings.good_until'), text: (k) => stamp(k.expires_ms), show: (k) => (k.expires_ms ? <When ms={k.expires_ms} /> : t('settings.forever')) },
          { key: 'act', title: t('settings.act'), text: () => '', show: (k) => (k.revoked_ms ? null : <ActButton size="small" danger call={(header) => client.POST('/api/v1/tokens/{id}/revoke', { params: { path: { id: k.id }, header } })} then={() => void refetch()}>{t('settings.revoke')}</ActButton>) },
        ]}
      />
    </Drawer>
  )
}
