"""The few things that Redis must do in one step.

Sent with EVAL and not EVALSHA: they are short, Redis keeps what it compiled, and a restarted server needs no
second attempt. Nothing newer than Redis 6.2 is used. Ends of life are milliseconds since the epoch and compared
with the server's clock, by which Redis itself expires.

A tag's index is a sorted set: the keys that carry the tag, each with its end of life as the score. What is over is
dropped at every write, so that a customer who is asked about all day has no index that grows all day; the index
lives as long as the longest-lived key in it.

The first thing written must be something that needs memory: when there is none left Redis refuses a script at its
first write or not at all.
"""

from __future__ import annotations

_INDEX = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function index(tag, key, at)
  local kind = redis.call('TYPE', tag)['ok']
  if kind ~= 'zset' and kind ~= 'none' then redis.call('UNLINK', tag) end
  redis.call('ZADD', tag, at, key)
  redis.call('ZREMRANGEBYSCORE', tag, '-inf', now)
  if now + redis.call('PTTL', tag) < tonumber(at) then redis.call('PEXPIREAT', tag, at) end
end
"""

# KEYS: the entry, then its tags. ARGV: the bytes, the end of life. Value and index change in the same step, so that
# whoever deletes by tag finds every value that is there.
STORE = (
    _INDEX
    + """
for i = 2, #KEYS do index(KEYS[i], KEYS[1], ARGV[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
return 1
"""
)

# One tag alone, for a cluster, where the entry lives elsewhere. KEYS: the tag. ARGV: the key, its end.
INDEX = (
    _INDEX
    + """
index(KEYS[1], ARGV[1], ARGV[2])
return 1
"""
)

# KEYS: the lease. ARGV: the holder, milliseconds.
ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
return 0
"""

# KEYS: the lease. ARGV: the holder.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
