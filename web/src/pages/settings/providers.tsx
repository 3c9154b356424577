import { Form, Input, Space, Typography } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client, type Schema } from '../../api/client'
import { ActButton, ActForm } from '../../parts/act'
import { List } from '../../parts/list'
import { stamp, When } from '../../parts/when'

type Row = Schema<'LoginProvider'>

/** Identity providers: who may vouch for persons that are known here. */
export function Providers() {
  const { t } = useTranslation()
  const { data, error, isLoading, refetch } = api.useQuery('get', '/api/v1/oidc-providers')
  const must = (label: string) => [{ required: true, message: t('common.required', { name: label }) }]
  return (
    <>
      <p>{t('settings.providers_what')}</p>
      <List<Row>
        name={t('settings.providers')}
        rows={data}
        error={error ?? undefined}
        loading={isLoading}
        reload={() => void refetch()}
        rowKey={(p) => p.id}
        empty={t('settings.no_providers')}
        filters={[{ key: 'issuer', title: t('settings.issuer'), of: (p) => p.issuer }]}
        actions={
          <ActForm<{ name: string; issuer: string; client_id: string; client_secret: string }>
            label={t('settings.add_provider')}
            draft=""
            button={{ type: 'primary' }}
            done={t('settings.provider_added')}
            fields={
              <>
                <Form.Item name="name" label={t('settings.name')} rules={must(t('settings.name'))}><Input maxLength={100} /></Form.Item>
                <Form.Item name="issuer" label={t('settings.issuer')} extra={t('settings.issuer_what')} rules={must(t('settings.issuer'))}><Input maxLength={500} inputMode="url" /></Form.Item>
                <Form.Item name="client_id" label={t('settings.client_id')} rules={must(t('settings.client_id'))}><Input maxLength={500} autoComplete="off" /></Form.Item>
                <Form.Item name="client_secret" label={t('settings.client_secret')} extra={t('settings.client_secret_what')} rules={must(t('settings.client_secret'))}><Input.Password maxLength={2000} autoComplete="new-password" /></Form.Item>
              </>
            }
            call={(body, header) => client.POST('/api/v1/oidc-providers', { params: { header }, body })}
            then={() => void refetch()}
          />
        }
        columns={[
          { key: 'name', title: t('settings.name'), text: (p) => p.name },
          { key: 'issuer', title: t('settings.issuer'), text: (p) => p.issuer, show: (p) => <span className="mono">{p.issuer}</span> },
          { key: 'redirect', title: t('settings.redirect'), wide: true, text: (p) => p.redirect_uri, show: (p) => <Typography.Text className="mono" copyable={{ tooltips: [t('settings.copy'), t('settings.copied')] }}>{p.redirect_uri}</Typography.Text> },
          { key: 'added', title: t('settings.added'), wide: true, text: (p) => stamp(p.created_ms), show: (p) => <When ms={p.created_ms} /> },
          {
            key: 'act',
            title: t('settings.act'),
            text: () => '',
            show: (p) => (
              <Space wrap>
                <ActButton size="small" call={() => client.POST('/api/v1/oidc-providers/{id}/test', { params: { path: { id: p.id } } })} done={t('settings.try_ok')}>{t('settings.try')}</ActButton>
                <ActForm<object>
                  label={t('settings.remove_provider')}
                  draft=""
                  button={{ size: 'small', danger: true }}
                  fields={<p>{t('settings.remove_provider_what', { name: p.name })}</p>}
                  submit={t('settings.remove_provider')}
                  call={(_, header) => client.POST('/api/v1/oidc-providers/{id}/remove', { params: { path: { id: p.id }, header } })}
                  then={() => void refetch()}
                />
              </Space>
            ),
          },
        ]}
      />
    </>
  )
}
