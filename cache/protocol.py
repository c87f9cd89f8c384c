"""Keys and scripts of the cache in Redis, which the API and the indexer share.

The rule that every look-up checks (decision 168): an answer is served only if, for each item in it, the
search began after the item's last change was visible to searches. All times are milliseconds of Redis' clock:

- `answer:DIGEST`: a hash of `started` (before the search), `items` (one id a line) and `content`.
- `changed:ITEM`: a hash of the writes of an item, each with the time from which searches show it; for a write
  that has not ended, the latest such time. Answers whose search began before are stale.
- `since`: the time from which on searches show every write that has no mark, set by the indexer. Without it,
  as before the first worker starts and after FLUSHALL, no answer is stored or served.
- `expiries`: the stored answers by the time they expire, which bounds their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_TTL_S: Final = 300
"""The longest that an answer may be kept. A mark outlives each answer that it is about."""

VISIBLE_AFTER_S: Final = 3.0
"""From the end of a write until every search shows it: the refresh interval, 1 s, and 2 s for a refresh."""


@dataclass(frozen=True)
class CacheKeys:
    """The keys of one index prefix."""

    prefix: str

    @property
    def since(self) -> str:
        """When marking began."""
        return f"{self._root}:since"

    @property
    def expiries(self) -> str:
        """The stored answers by the time they expire."""
        return f"{self._root}:expiries"

    @property
    def changed(self) -> str:
        """What the key of an item's mark begins with."""
        return f"{self._root}:changed:"

    def answer(self, digest: str) -> str:
        """The key of an answer."""
        return f"{self._root}:answer:{digest}"

    @property
    def _root(self) -> str:
        return f"nitamono-{self.prefix}:cache"


# Lua writes a large number as 1.7e+12 unless told otherwise.
_SHARED = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

local function is_valid(started, items, since, changed)
  if not since or started < tonumber(since) then return false end
  for item in string.gmatch(items, '[^\\n]+') do
    for _, visible in ipairs(redis.call('HVALS', changed .. item)) do
      if started < tonumber(visible) then return false end
    end
  end
  return true
end
"""

LOOK_UP: Final = f"""{_SHARED}
-- KEYS: answer, since. ARGV: what marks begin with. Only reads, so it costs no fsync.
local answer = redis.call('HMGET', KEYS[1], 'started', 'items', 'content')
local since = redis.call('GET', KEYS[2])
local fresh = answer[1] and is_valid(tonumber(answer[1]), answer[2], since, ARGV[1])
return {{now_ms(), since, fresh and answer[3]}}
"""

STORE: Final = f"""{_SHARED}
-- KEYS: answer, since, expiries.
-- ARGV: what marks begin with, started, items, content, time to live in ms, most answers.
local started, since = tonumber(ARGV[2]), redis.call('GET', KEYS[2])
local expires = started + ARGV[5]
if expires <= now_ms() or not is_valid(started, ARGV[3], since, ARGV[1]) then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now_ms()))
if not redis.call('ZSCORE', KEYS[3], KEYS[1]) then
  while redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[6]) do
    redis.call('DEL', redis.call('ZPOPMIN', KEYS[3])[1])
  end
end
redis.call('HSET', KEYS[1], 'started', ARGV[2], 'items', ARGV[3], 'content', ARGV[4])
redis.call('PEXPIREAT', KEYS[1], text(expires))
redis.call('ZADD', KEYS[3], text(expires), KEYS[1])
return 1
"""

BEGIN: Final = f"""{_SHARED}
-- Writes that failed or were killed never end, and each retry lets the hash live on. The mark that follows is
-- later than those that are past, and so makes at least the same answers stale.
local function drop_past(key)
  local marks = redis.call('HGETALL', key)
  for place = 1, #marks, 2 do
    if tonumber(marks[place + 1]) <= now_ms() then redis.call('HDEL', key, marks[place]) end
  end
end

-- KEYS: since, then the marks of the items. ARGV: time to since in ms, write, hold in ms, life in ms.
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SET', KEYS[1], text(now_ms() + ARGV[1])) end
for place = 2, #KEYS do
  drop_past(KEYS[place])
  redis.call('HSET', KEYS[place], ARGV[2], text(now_ms() + ARGV[3]))
  redis.call('PEXPIRE', KEYS[place], ARGV[4])
end
"""

END: Final = f"""{_SHARED}
-- KEYS: the marks of the items. ARGV: write, time to visibility in ms, life in ms.
for _, key in ipairs(KEYS) do
  redis.call('HDEL', key, ARGV[1])
  redis.call('HSET', key, 'last', text(now_ms() + ARGV[2]))
  redis.call('PEXPIRE', key, ARGV[3])
end
"""
