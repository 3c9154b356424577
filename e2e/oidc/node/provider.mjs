// A provider with its own development pages, where any name logs in as itself. PROVIDER is JSON: issuer, clients.
// It makes a fresh key under the same id each time it starts, listens on a free port and prints that.
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const { issuer, clients } = JSON.parse(process.env.PROVIDER)
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })
const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [{ ...key, kid: 'the-key', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['for tests only'] },
})
const server = createServer(provider.callback())
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`))
process.stdin.on('end', () => process.exit(0)).resume() // with whoever started it
