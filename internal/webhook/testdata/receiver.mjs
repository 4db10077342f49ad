import { createServer } from 'node:http'
import { appendFileSync } from 'node:fs'
import { weirEvents } from './weir.mjs'

createServer(async (request, response) => {
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  const events = weirEvents(process.env.SECRET, request.headers, Buffer.concat(pieces))
  if (!events) return response.writeHead(401).end()
  const lines = events.map((e) => `${e.event} ${e.topic} ${e.user ?? ''}${e.data ?? ''}\n`)
  appendFileSync(process.env.OUT, lines.join(''))
  response.writeHead(204).end()
}).listen(Number(process.env.PORT), '127.0.0.1')
