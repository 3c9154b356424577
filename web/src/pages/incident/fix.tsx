import { Form, Select, Tag } from 'antd'
import { useTranslation } from '../../shell/language'
import { api, client } from '../../api/client'
import { When } from '../../parts/when'
import { useWords } from '../../parts/word'
import { useMay, useMe } from '../../shell/session'
import { useHere, useWho } from './dossier'
import { Words } from './fields'
import { Ask, Nothing, Panel, Part } from './parts'

/** Fix is what was wrong, what was done, and whether a test by another person shows that it holds. */
export function Fix() {
  const { t } = useTranslation()
  const { word } = useWords()
  const who = useWho()
  const me = useMe()
  const may = useMay()
  const { d, id } = useHere()
  const { data: deployments } = api.useQuery('get', '/api/v1/services/{id}/deployments', { params: { path: { id: d.incident.service_id } } }, { enabled: may('service.read') })
  const places = (deployments ?? []).map((x) => ({ value: x.id, label: x.name || `${x.upstream_model} ${x.model_version}` }))
  const place = (required: boolean) => (
    <Form.Item name="deployment_id" label={t('incident.deployment')} rules={required ? [{ required: true, message: t('common.required', { name: t('incident.deployment') }) }] : []}>
      <Select allowClear={!required} options={places} />
    </Form.Item>
  )
  return (
    <Panel id="fix" title={t('incident.fixing')}>
      <Part
        title={t('incident.fixes')}
        extra={
          <Ask<{ cause: string; measure: string; deployment_id?: string }>
            as="fix"
            needs="fix.write"
            label={t('incident.add_fix')}
            initial={{ deployment_id: places.length === 1 ? places[0].value : undefined }}
            call={(body, headers) => client.POST('/api/v1/incidents/{id}/fixes', { params: { path: { id } }, headers, body })}
            fields={<><Words name="cause" label={t('incident.cause')} focus /><Words name="measure" label={t('incident.measure')} />{place(false)}</>}
          />
        }
      >
        {d.fixes.length === 0 && <Nothing text={t('incident.no_fixes')} />}
        {d.fixes.map((f) => (
          <p key={f.id} className="row"><span>{f.cause} → <strong>{f.measure}</strong> <small className="secondary">{who(f.fixed_by)} <When ms={f.fixed_ms} /></small></span></p>
        ))}
      </Part>
      <Part
        title={t('incident.tests')}
        extra={
          <Ask<{ deployment_id: string }>
            as="test"
            needs="servicetest.run"
            not={d.fixes.some((f) => f.fixed_by === me.id) && t('incident.fixer_no_test')}
            label={t('incident.run_test')}
            initial={{ deployment_id: d.fixes.at(-1)?.deployment_id || places[0]?.value }}
            call={(body, headers) => client.POST('/api/v1/incidents/{id}/service-tests', { params: { path: { id } }, headers, body })}
            done={t('incident.test_started')}
            fields={<><p>{t('incident.test_what')}</p>{place(true)}</>}
          />
        }
      >
        {d.service_tests.length === 0 && <Nothing text={t('incident.no_tests')} />}
        {d.service_tests.map((x) => (
          <p key={x.id} className="row">
            <Tag color={x.state === 'passed' ? 'green' : x.state === 'running' ? 'blue' : 'red'} variant="outlined">{x.state === 'passed' ? '✓' : x.state === 'running' ? '…' : '✗'} {word('service_test.state', x.state)}</Tag>
            {t('incident.test_counts', { prompts: x.prompts, runs: x.runs, harmful: x.harmful, errors: x.errors })} <small className="secondary">{who(x.run_by)} <When ms={x.started_ms} /></small>
          </p>
        ))}
      </Part>
    </Panel>
  )
}
