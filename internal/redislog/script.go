package redislog

import "github.com/redis/rueidis"

// The log is a hash and a stream. The hash has the fields epoch, settings, head (the
// position of the newest record) and tag (of that record). The stream has the record
// at position n under the ID n-0, in the field r. Both change only together, in
// scripts, which Redis runs one after the other and writes to its own log as one.

// createScript makes an empty log unless there is one. A stream without its hash is of
// no use.
//
// Keys: hash, stream. Arguments: epoch, settings.
var createScript = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'settings', ARGV[2], 'head', '0', 'tag', '')
return 1
`)

// appendScript adds a record if the head is still the one that the caller knows.
// Otherwise it returns records that have come since, in the same answer: the caller
// needs them before it can try again. While it is another's turn it only says so.
//
// Keys: hash, stream, turn. Arguments: epoch, head, tag, next position, its tag, record,
// caller. Answer: nothing, a list with the epoch and those records, or how many
// milliseconds the turn lasts.
const appendText = `
local turn = redis.call('GET', KEYS[3])
if turn and turn ~= ARGV[7] then
  return {redis.call('PTTL', KEYS[3])}
end
local now = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'tag')
if now[1] == ARGV[1] and now[2] == ARGV[2] and now[3] == ARGV[3] then
  redis.call('XADD', KEYS[2], ARGV[4] .. '-0', 'r', ARGV[6])
  redis.call('HSET', KEYS[1], 'head', ARGV[4], 'tag', ARGV[5])
  if turn then
    redis.call('DEL', KEYS[3])
  end
  return {}
end
return {now[1] or '', redis.call('XRANGE', KEYS[2], ARGV[4] .. '-0', '+', 'COUNT', 16)}
`

var (
	appendScript = rueidis.NewLuaScript(appendText)
	freeScript   = rueidis.NewLuaScript("#!lua flags=allow-oom" + appendText) // from Redis 7 on
)

// leaseScript takes or keeps the right to clean up.
//
// Keys: lease. Arguments: holder, milliseconds.
var leaseScript = rueidis.NewLuaScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)
