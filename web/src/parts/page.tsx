import { Typography } from 'antd'
import { useEffect, type ReactNode } from 'react'

const name = document.title // the product's, from index.html

/** Page gives a page its heading, its name in the browser's tab, and what can be done on it. */
export function Page({ title, extra, children, lead }: { title: string; extra?: ReactNode; children: ReactNode; lead?: string }) {
  useEffect(() => {
    document.title = `${title} · ${name}`
  }, [title])
  return (
    <>
      <header className="page-head">
        <Typography.Title level={1} className="page-title">{title}</Typography.Title>
        <div className="page-extra">{extra}</div>
      </header>
      {lead && <Typography.Paragraph type="secondary">{lead}</Typography.Paragraph>}
      {children}
    </>
  )
}
