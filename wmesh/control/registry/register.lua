-- Put records in, each with a fresh lease. A record that stands there already is only renewed: nobody is woken.
-- ARGV: lease in milliseconds, then member, record, member, record, …   Answers the version.
--
-- What no reader would believe is refused with an error that names the field. These are the plain cases; readers check
-- every rule of the format.
local TEXT, COUNT = '^%C*$', 64
local KNOWN = {v = 1, service = 1, id = 1, host = 1, port = 1, version = 1, weight = 1, tags = 1, metadata = 1,
  incarnation = 1}

local function is_whole(value, least, most)
  return type(value) == 'number' and value >= least and value <= most and value == math.floor(value)
end

local function is_text(value, longest)
  return type(value) == 'string' and #value <= longest and string.find(value, TEXT) ~= nil
end

local function are_texts(values, key_type, longest)
  if type(values) ~= 'table' then
    return false
  end
  local count = 0
  for key, value in pairs(values) do
    count = count + 1
    if type(key) ~= key_type or not is_text(value, longest) or not is_text(tostring(key), 512) then
      return false
    end
  end
  return count <= COUNT
end

-- Name, value and rule of the first field that is wrong; nothing if none is.
local function fault(member, text)
  if #text > LARGEST_RECORD then
    return 'the record', #text .. ' bytes', 'at most ' .. LARGEST_RECORD .. ' bytes, metadata included'
  end
  local read, record = pcall(cjson.decode, text)
  if not read or type(record) ~= 'table' then
    return 'the record', 'not JSON', 'one JSON object'
  end
  if record.v ~= 1 then
    return 'v', record.v or 'missing', '1'
  end
  for name in pairs(record) do
    if not KNOWN[name] then
      return name, 'unknown field', 'one of v, service, id, host, port, version, weight, tags, metadata, incarnation'
    end
  end
  if not sound(member) then
    return 'member', member, 'service/id, at most 257 bytes'
  end
  if not (is_text(record.service, 128) and is_text(record.id, 128)) or record.service .. '/' .. record.id ~= member then
    return 'service, id', tostring(record.service) .. '/' .. tostring(record.id), 'those of the member ' ..
      string.gsub(string.sub(member, 1, 60), '[%c\127-\255]', '?')
  end
  if not is_text(record.host, 253) or not string.find(record.host, '^[%w._:-]+$') then
    return 'host', record.host or 'missing', 'an IP address or host name by which others reach the instance'
  end
  if not is_whole(record.port, 1, 65535) then
    return 'port', record.port or 'missing', 'a whole number from 1 to 65535'
  end
  if record.weight ~= nil and not is_whole(record.weight, 1, 1000) then
    return 'weight', record.weight, 'a whole number from 1 to 1000'
  end
  for _, name in ipairs({'version', 'incarnation'}) do
    if record[name] ~= nil and not is_text(record[name], 512) then
      return name, record[name], '0 to 128 printable characters'
    end
  end
  if record.tags ~= nil and not are_texts(record.tags, 'number', 512) then
    return 'tags', record.tags, 'a list of at most 64 texts'
  end
  if record.metadata ~= nil and not are_texts(record.metadata, 'string', 4096) then
    return 'metadata', record.metadata, 'an object of at most 64 texts'
  end
end

local until_then = lease_end(ARGV[1])
if not until_then then
  return refuse('lease', ARGV[1] or 'missing', LEASE)
end
if #ARGV % 2 == 0 then
  return refuse('arguments', 'a member without a record', 'lease, member, record, member, record, ...')
end
for i = 2, #ARGV, 2 do
  local name, wrong, right = fault(ARGV[i], ARGV[i + 1])
  if name then
    return refuse(name, wrong, right)
  end
end

for i = 2, #ARGV, 2 do
  local member, record = ARGV[i], ARGV[i + 1]
  redis.call('ZADD', leases, until_then, member)
  if redis.call('HGET', records, member) ~= record then
    redis.call('HSET', records, member, record)
    tell('put', member, 'record', record)
  end
end
return current_version()
