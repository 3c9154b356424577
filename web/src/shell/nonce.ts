/** nonce is what the server's policy lets styles and scripts of this page carry. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce

// Ant Design hands its nonce to the styles of its components, but its scroll lock (under every dialog and drawer) makes
// a style element without one. So every style element that the page's own scripts make gets it.
const make = document.createElement.bind(document)
document.createElement = ((tag: string, options?: ElementCreationOptions) => {
  const element = make(tag, options)
  if (nonce && element instanceof HTMLStyleElement) element.nonce = nonce
  return element
}) as typeof document.createElement
