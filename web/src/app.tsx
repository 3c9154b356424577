import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { lazy } from 'react'
import { createBrowserRouter, RouterProvider } from 'react-router'
import { isProblem } from './api/client'
import { Desk } from './shell/layout'
import { SignedIn } from './shell/session'
import { Theme } from './shell/theme'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What is refused stays refused; a lost server is asked again by the banner.
      retry: (n, e) => n < 2 && !(isProblem(e) && e.status < 500),
      refetchOnWindowFocus: true,
    },
  },
})

// One chunk a page: what is not opened is not loaded.
const page = {
  overview: lazy(() => import('./pages/overview')),
  services: lazy(() => import('./pages/services')),
  plans: lazy(() => import('./pages/plans')),
  drills: lazy(() => import('./pages/drills')),
  lexicon: lazy(() => import('./pages/lexicon')),
  anomalies: lazy(() => import('./pages/anomalies')),
  complaints: lazy(() => import('./pages/complaints')),
  incidents: lazy(() => import('./pages/incidents')),
  incident: lazy(() => import('./pages/incident')),
  orders: lazy(() => import('./pages/orders')),
  gateReviews: lazy(() => import('./pages/gate_reviews')),
  seconds: lazy(() => import('./pages/seconds')),
  compliance: lazy(() => import('./pages/compliance')),
  record: lazy(() => import('./pages/record')),
  settings: lazy(() => import('./pages/settings')),
  me: lazy(() => import('./pages/me')),
  login: lazy(() => import('./pages/login')),
  nowhere: lazy(() => import('./pages/nowhere')),
}

const router = createBrowserRouter(
  [
    { path: '/login', element: <page.login /> },
    {
      element: (
        <SignedIn>
          <Desk />
        </SignedIn>
      ),
      children: [
        { path: '/', element: <page.overview /> },
        { path: '/services/:id?', element: <page.services /> },
        { path: '/plans/:id?', element: <page.plans /> },
        { path: '/drills/:id?', element: <page.drills /> },
        { path: '/lexicon', element: <page.lexicon /> },
        { path: '/anomalies/:id?', element: <page.anomalies /> },
        { path: '/complaints/:id?', element: <page.complaints /> },
        { path: '/incidents', element: <page.incidents /> },
        { path: '/incidents/:id', element: <page.incident /> },
        { path: '/orders/:id?', element: <page.orders /> },
        { path: '/gate-reviews', element: <page.gateReviews /> },
        { path: '/seconds', element: <page.seconds /> },
        { path: '/compliance', element: <page.compliance /> },
        { path: '/record', element: <page.record /> },
        { path: '/settings/:part?', element: <page.settings /> },
        { path: '/me', element: <page.me /> },
        { path: '*', element: <page.nowhere /> },
      ],
    },
  ],
  { basename: '/console' },
)

export function Console() {
  return (
    <QueryClientProvider client={queries}>
      <Theme>
        <RouterProvider router={router} />
      </Theme>
    </QueryClientProvider>
  )
}
