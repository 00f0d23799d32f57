package redis

import goredis "github.com/redis/go-redis/v9"

// stays tells whether something is not to go: because a certificate's record, as the
// third key, lists it now, or, given a mark, because the mark in the third key is gone
// or another's (see mark.go). Without a third key everything goes.
const stays = `
local function stays(field, what, mark, token)
  if not KEYS[3] then return false end
  if mark ~= '' then
    if redis.call('HGET', KEYS[3], mark) ~= token then return true end
    redis.call('HDEL', KEYS[3], mark)
    return false
  end
  for line in string.gmatch(redis.call('HGET', KEYS[3], field) or '', '[^\n]+') do
    if line == what then return true end
  end
  return false
end
`

// Each script decides and writes in one step. None needs two slots of a cluster.
var (
	// claim opens a certificate's record for a version: KEYS record; ARGV
	// version, items, shared keys, 1 for an older version on purpose. What was
	// written before becomes stale until the new version is whole. Answers the
	// version that stands and what is stale.
	claim = goredis.NewScript(`
local h = redis.call('HMGET', KEYS[1], 'v', 'items', 'shared', 'stale_items', 'stale_shared')
local have = tonumber(h[1] or '0')
if have > tonumber(ARGV[1]) and ARGV[4] ~= '1' then return {tostring(h[1]), '', ''} end
local function join(a, b)
  local seen, out = {}, {}
  for line in string.gmatch((a or '') .. '\n' .. (b or ''), '[^\n]+') do
    if not seen[line] then seen[line] = true; out[#out + 1] = line end
  end
  return table.concat(out, '\n')
end
local items, shared = join(h[2], h[4]), join(h[3], h[5])
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'items', ARGV[2], 'shared', ARGV[3], 'stale_items', items, 'stale_shared', shared)
redis.call('HDEL', KEYS[1], 'fp')
return {ARGV[1], items, shared}`)

	// settleRecord closes the record: KEYS record; ARGV version, fingerprint.
	settleRecord = goredis.NewScript(`
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'stale_items', 'stale_shared')
redis.call('HSET', KEYS[1], 'fp', ARGV[2])
return 1`)

	// share writes a shared value: KEYS value, users, and marks in a cluster; ARGV
	// value, until, label, mark. It lives as long as its longest user wants.
	share = goredis.NewScript(`
if KEYS[3] then redis.call('HDEL', KEYS[3], ARGV[4]) end
local left = redis.call('TTL', KEYS[1])
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1])
local now, till = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
if till == 0 or left == -1 then redis.call('PERSIST', KEYS[2]) return 1 end
if left > 0 and now + left > till then till = now + left end
redis.call('EXPIREAT', KEYS[1], till)
redis.call('EXPIREAT', KEYS[2], till)
return 1`)

	// unshare takes a user away, unless the value stays: KEYS value, users, and record
	// or marks; ARGV label, mark, token. The last takes the value along.
	unshare = goredis.NewScript(stays + `
if stays('shared', KEYS[1], ARGV[2], ARGV[3]) then return 0 end
redis.call('SREM', KEYS[2], ARGV[1])
if redis.call('SCARD', KEYS[2]) == 0 then redis.call('DEL', KEYS[1], KEYS[2]) return 1 end
return 0`)

	// putName writes a name's pair unless a newer one is there: KEYS hash, owner, and
	// marks in a cluster; ARGV pair, version, label, until, 1 for an older version on
	// purpose (which takes the place of its own certificate's alone), mark, then
	// fields. In layout 3 hash and owner are one key. Answers the version that stands.
	putName = goredis.NewScript(`
if KEYS[3] then redis.call('HDEL', KEYS[3], ARGV[6]) end
local pair, have = ARGV[1], redis.call('HGET', KEYS[2], 'g' .. ARGV[1])
local back = ARGV[5] == '1' and redis.call('HGET', KEYS[2], 'o' .. pair) == ARGV[3]
if have and tonumber(have) > tonumber(ARGV[2]) and not back then return have end
local left = redis.call('TTL', KEYS[1])
redis.call('HSET', KEYS[2], 'g' .. pair, ARGV[2], 'o' .. pair, ARGV[3])
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
local now, till = tonumber(redis.call('TIME')[1]), tonumber(ARGV[4])
if till == 0 then
  redis.call('PERSIST', KEYS[1]); redis.call('PERSIST', KEYS[2])
  return ARGV[2]
end
local other = pair == '' and 'f2' or 'f'
if left > 0 and now + left > till and redis.call('HEXISTS', KEYS[1], other) == 1 and KEYS[1] == KEYS[2] then till = now + left end
redis.call('EXPIREAT', KEYS[1], till)
redis.call('EXPIREAT', KEYS[2], till)
return ARGV[2]`)

	// dropName takes a certificate's pair from a name, if it is still its own, unless
	// it stays: KEYS hash, owner, and record or marks; ARGV pair, label, mark, token.
	dropName = goredis.NewScript(stays + `
local pair = ARGV[1]
if stays('items', KEYS[1] .. ' ' .. pair, ARGV[3], ARGV[4]) then return 0 end
if redis.call('HGET', KEYS[2], 'o' .. pair) ~= ARGV[2] then return 0 end
if KEYS[1] ~= KEYS[2] then redis.call('DEL', KEYS[1], KEYS[2]) return 1 end
for _, f in ipairs({'g', 'n', 'f', 'k', 'o'}) do redis.call('HDEL', KEYS[1], f .. pair) end
return 1`)
)

// announce numbers a message, so that a listener knows whether it missed one:
// KEYS counter; ARGV channel, names.
var announce = goredis.NewScript(`
local n = redis.call('INCR', KEYS[1])
redis.call('PUBLISH', ARGV[1], n .. ' ' .. ARGV[2])
return n`)

var scripts = []*goredis.Script{announce, claim, settleRecord, share, unshare, putName, dropName}
