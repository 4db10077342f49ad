import { createHmac, timingSafeEqual } from 'node:crypto'

// The events of a request, or null if it was not signed with secret in the last five minutes.
// body is a Buffer with the bytes as they came.
export function weirEvents(secret, headers, body) {
  const id = headers['webhook-id'], time = headers['webhook-timestamp']
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= 300)) return null
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret
  const want = Buffer.from('v1,' + createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest('base64'))
  for (const signature of (headers['webhook-signature'] ?? '').split(' ')) {
    const got = Buffer.from(signature)
    if (got.length === want.length && timingSafeEqual(got, want)) return JSON.parse(body).events
  }
  return null
}
