import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

// The server fills __CSP_NONCE__ in for each request (internal/app/console.go).
export default defineConfig({
  base: '/console/',
  plugins: [react()],
  html: { cspNonce: '__CSP_NONCE__' },
  build: {
    target: 'es2022',
    emptyOutDir: false, // dist/.keep lets `go build` work before anything is built
    chunkSizeWarningLimit: 1500,
    assetsInlineLimit: 0, // data: addresses would need a wider policy
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8080', '/login': 'http://127.0.0.1:8080' } },
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'] },
})
