import { Alert, Modal, Typography } from 'antd'
import { useTranslation } from '../../shell/language'
import { When } from '../../parts/when'

/** Shown is a secret that the server gives once: a link or a token. */
export type Shown = { what: string; value: string; waiting: boolean; expiresMs?: number }

/** Once shows it, to be copied now; it is kept nowhere here. */
export function Once({ shown, close }: { shown: Shown | undefined; close: () => void }) {
  const { t } = useTranslation()
  return (
    <Modal open={!!shown} title={shown?.what} onCancel={close} onOk={close} okText={t('settings.once_kept')} cancelButtonProps={{ hidden: true }} mask={{ closable: false }} destroyOnHidden>
      <Alert type="warning" showIcon title={t('settings.once')} />
      <Typography.Paragraph className="mono gap-top" copyable={{ text: shown?.value, tooltips: [t('settings.copy'), t('settings.copied')] }}>{shown?.value}</Typography.Paragraph>
      {shown?.expiresMs ? <p>{t('settings.good_until')} <When ms={shown.expiresMs} /></p> : null}
      {shown?.waiting && <Alert type="info" showIcon title={t('settings.once_waiting')} />}
    </Modal>
  )
}
