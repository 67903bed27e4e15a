-- What all scripts of the registry share; it is put in front of each of them.
--
-- The keys of one namespace, all in one hash slot. Every script is given all of them, in this order:
--   {ns}:records   hash    "service/id" -> record (JSON)
--   {ns}:leases    zset    "service/id" -> end of its lease, milliseconds of this server's clock
--   {ns}:version   string  counts changes
--   {ns}:changes   stream  the changes themselves, bounded
--   {ns}:loads     hash    "service/id" -> last load sample (JSON)
--   {ns}:wills     hash    "service/id" -> what operators said of it (JSON); it outlives the record
--
-- Two rules let a reader find every gap by itself. The version grows by exactly one with each change, and each entry of
-- the stream says which version it made. And a version that is missing (a new or an emptied server) starts from the
-- clock, so a registry that was emptied never counts through old numbers again; the start is itself put into the
-- stream, which wakes every reader that waits there for changes.
--
-- A script does all or nothing: what it is given is checked before the first write, for Redis takes no write back. What
-- somebody else wrote by hand is put right where it would be in everybody's way: a key of the wrong type is renamed
-- (KEY:set-aside), a version that is no number starts anew.
local records, leases, version, changes, loads, wills = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local STREAM_LENGTH = 10000
local LARGEST_RECORD = 16384
local LARGEST_LOAD = 4096
local LARGEST_WILL = 4096
local LONGEST_LEASE = 86400000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Lua would write large numbers as 1.7e+12.
local function whole(number)
  return string.format('%.0f', number)
end

-- An answer that names what is wrong. It is one line of ASCII, whatever the value is.
local function refuse(name, wrong, right)
  if type(wrong) == 'table' then
    wrong = 'a list or an object'
  end
  local shown = string.gsub(string.sub(tostring(wrong), 1, 60), '[%c\127-\255]', '?')
  return redis.error_reply('RECORD ' .. name .. ': ' .. shown .. '; should be ' .. right)
end

-- The end of a lease of so many milliseconds; nil if that makes no sense.
local function lease_end(lease)
  local length = tonumber(lease)
  if length and length >= 1 and length <= LONGEST_LEASE then
    return now + math.floor(length)
  end
end
local LEASE = 'milliseconds, from 1 to 86400000'

local function sound(member)
  return #member <= 257 and string.find(member, '^[^/]+/[^/]+$') ~= nil
end

local set_aside = false
for i, kind in ipairs({'hash', 'zset', 'string', 'stream', 'hash', 'hash'}) do
  local namespace = string.match(records or '', '^(.+):records$')
  local name = ({':records', ':leases', ':version', ':changes', ':loads', ':wills'})[i]
  if not namespace or #KEYS ~= 6 or KEYS[i] ~= namespace .. name then
    return refuse('keys', KEYS[i] or 'missing',
      '{ns}:records {ns}:leases {ns}:version {ns}:changes {ns}:loads {ns}:wills')
  end
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then
    redis.call('RENAME', KEYS[i], KEYS[i] .. ':set-aside')
    set_aside = true
  end
end

local function append(...)
  local entry = redis.pcall('XADD', changes, 'MAXLEN', '~', STREAM_LENGTH, '*', ...)
  if type(entry) == 'table' and entry.err then
    -- Whoever adds an entry with the last possible id by hand leaves no room for others.
    if string.find(entry.err, 'exhausted', 1, true) then
      redis.call('DEL', changes)
    end
    redis.call('XADD', changes, 'MAXLEN', '~', STREAM_LENGTH, '*', ...)
  end
end

local function start_version()
  local first = whole(now)
  redis.call('SET', version, first)
  append('kind', 'start', 'version', first)
  return first
end

local function current_version()
  local current = redis.call('GET', version)
  if current and #current <= 15 and string.find(current, '^[1-9]%d*$') then
    return current
  end
  return start_version()
end

-- Some of what readers know is gone: they have to look at everything again.
if set_aside then
  start_version()
end

-- kind 'put' with the record as detail, 'gone' with the reason, or 'will' with the will (empty: forgotten). Of a record
-- that is too large for any reader, the stream gets only as much as it takes to see that.
local function tell(kind, member, name, detail)
  current_version()
  local next_version = whole(redis.call('INCR', version))
  local slash = string.find(member, '/', 1, true)
  append('kind', kind, 'service', string.sub(member, 1, slash - 1), 'id', string.sub(member, slash + 1),
    name, string.sub(detail, 1, LARGEST_RECORD + 1), 'version', next_version)
end

local function remove(member, reason)
  redis.call('ZREM', leases, member)
  redis.call('HDEL', loads, member)
  if redis.call('HDEL', records, member) == 1 then
    if sound(member) then
      tell('gone', member, 'reason', reason)
    end
    return 1
  end
  return 0
end
