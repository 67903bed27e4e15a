-- What all scripts of the registry share; it is put in front of each of them.
--
-- The keys of one namespace, all in one hash slot. Every script is given all of them, in this order:
--   {ns}:records   hash    "service/id" -> record (JSON)
--   {ns}:leases    zset    "service/id" -> end of its lease, milliseconds of this server's clock
--   {ns}:version   string  counts changes
--   {ns}:changes   stream  the changes themselves, bounded
--   {ns}:loads     hash    "service/id" -> last load sample (JSON)
--
-- Two rules let a reader find every gap by itself. The version grows by exactly one with each change, and each entry of
-- the stream says which version it made. And a version that is missing (a new or an emptied server) starts from the
-- clock, so a registry that was emptied never counts through old numbers again; the start is itself put into the
-- stream, which wakes every reader that waits there for changes.
local records, leases, version, changes, loads = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local STREAM_LENGTH = 10000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Lua would write large numbers as 1.7e+12.
local function whole(number)
  return string.format('%.0f', number)
end

local function current_version()
  local current = redis.call('GET', version)
  if not current then
    current = whole(now)
    redis.call('SET', version, current)
    redis.call('XADD', changes, 'MAXLEN', '~', STREAM_LENGTH, '*', 'kind', 'start', 'version', current)
  end
  return current
end

-- kind 'put' with the record as detail, or kind 'gone' with the reason.
local function tell(kind, member, name, detail)
  current_version()
  local next_version = whole(redis.call('INCR', version))
  local slash = string.find(member, '/', 1, true)
  redis.call('XADD', changes, 'MAXLEN', '~', STREAM_LENGTH, '*', 'kind', kind,
    'service', string.sub(member, 1, slash - 1), 'id', string.sub(member, slash + 1),
    name, detail, 'version', next_version)
end

local function remove(member, reason)
  redis.call('ZREM', leases, member)
  redis.call('HDEL', loads, member)
  if redis.call('HDEL', records, member) == 1 then
    tell('gone', member, 'reason', reason)
    return 1
  end
  return 0
end
