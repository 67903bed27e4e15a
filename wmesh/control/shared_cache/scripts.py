"""What happens at the server in one step, as Lua. Keys and fields are told in docs/caching.rst.

A page (hash) has all answers for one URL: "names" are the sets of fields that they depend on, one a line; "tags" all of
their tags; every other field is one answer. A page goes as a whole: it lives as long as the answer in it that lives
longest, and too many variants make it begin anew. The news (stream) are the invalidations of all gateways; who has not
heard the last of them may not store, for it may be about what he stores.
"""

from __future__ import annotations

import hashlib

from wmesh.control.registry.scripts import Script


def _script(name: str, text: bytes) -> Script:
    # The server's name for a script is its SHA-1; this is no matter of security.
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


PUT = _script(
    "put",
    b"""\
-- KEYS: the news, the page. ARGV: the last of the news that the writer knows; milliseconds to live; the field; the
-- record; the set of names or empty; the tags, with a space before and behind each, or empty; the most fields.
-- Answers 1, 0 (he has not heard everything), or -1 (there are no news at all: somebody emptied the server).
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return -1 end
if last[1] ~= ARGV[1] then return 0 end
local page, field = KEYS[2], ARGV[3]
if redis.call('HEXISTS', page, field) == 0 and redis.call('HLEN', page) >= tonumber(ARGV[7]) then
  redis.call('DEL', page)
end
local function add(name, value, between)
  if value == '' then return end
  local known = redis.call('HGET', page, name)
  if not known then
    redis.call('HSET', page, name, value)
  elseif not string.find(between .. known .. between, between .. value .. between, 1, true) then
    redis.call('HSET', page, name, known .. between .. value)
  end
end
redis.call('HSET', page, field, ARGV[4])
add('names', ARGV[5], '\\n')
for tag in string.gmatch(ARGV[6], '%S+') do add('tags', tag, ' ') end
if redis.call('PTTL', page) < tonumber(ARGV[2]) then redis.call('PEXPIRE', page, ARGV[2]) end
return 1
""",
)

TELL = _script(
    "tell",
    b"""\
-- KEYS: the news, and a page that goes with them, if any. ARGV: how many news to keep, then the fields of this one.
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 2))
if KEYS[2] then redis.call('DEL', KEYS[2]) end
return 1
""",
)

TAGGED = _script(
    "tagged",
    b"""\
-- KEYS: pages. ARGV: a tag. Deletes those of them that have it.
local gone = 0
for _, page in ipairs(KEYS) do
  local tags = redis.call('HGET', page, 'tags')
  if tags and string.find(' ' .. tags .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
    gone = gone + redis.call('DEL', page)
  end
end
return gone
""",
)
