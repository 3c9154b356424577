import { api, type Schema } from '../../api/client'
import { List } from '../../parts/list'
import { useWords } from '../../parts/word'
import { language, useTranslation } from '../../shell/language'

type Row = Schema<'RuleRow'>

/** Rules in force, with where each comes from and whether it was checked against the text. */
export function Rules() {
  const { t } = useTranslation()
  const { word, options } = useWords()
  const { data, error, isLoading } = api.useQuery('get', '/api/v1/rules', {}, { staleTime: Infinity })
  const edition = (id: string) => data?.editions.find((e) => e.id === id)?.name[language()] ?? t('settings.ours')
  const sure = (r: Row) => (!r.cite.edition ? t('settings.ours') : r.cite.verified ? t('settings.verified') : t('settings.unverified'))
  const sign = (r: Row) => (!r.cite.edition ? '○' : r.cite.verified ? '✓' : '✗')
  return (
    <>
      <p>{t('settings.rules_what')}</p>
      <List<Row>
        name={t('settings.rules')}
        rows={data?.rules}
        error={error ?? undefined}
        loading={isLoading}
        rowKey={(r) => `${r.list} ${r.id}`}
        empty={t('settings.no_rules')}
        filters={[
          { key: 'list', title: t('settings.list'), options: options('rule_list'), of: (r) => r.list },
          { key: 'edition', title: t('settings.clause'), options: (data?.editions ?? []).map((e) => ({ value: e.id, label: e.name[language()] })), of: (r) => r.cite.edition },
          { key: 'sure', title: t('settings.sure'), options: [{ value: 'yes', label: t('settings.verified') }, { value: 'no', label: t('settings.unverified') }], of: (r) => (!r.cite.edition ? '' : r.cite.verified ? 'yes' : 'no') },
        ]}
        columns={[
          { key: 'list', title: t('settings.list'), text: (r) => word('rule_list', r.list) },
          { key: 'name', title: t('settings.rule'), text: (r) => `${r.name[language()]} ${r.id}`, show: (r) => <>{r.name[language()]} <span className="mono">{r.id}</span></> },
          { key: 'says', title: t('settings.says'), text: (r) => r.says[language()] },
          { key: 'clause', title: t('settings.clause'), text: (r) => `${edition(r.cite.edition)} ${r.cite.clause}` },
          { key: 'sure', title: t('settings.sure'), text: sure, show: (r) => <span className="nowrap"><span aria-hidden>{sign(r)} </span>{sure(r)}</span> },
        ]}
      />
    </>
  )
}
