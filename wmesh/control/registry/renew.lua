-- Renew leases and note loads. It changes no record, so it makes no version and wakes nobody.
-- ARGV: lease in milliseconds, then member, load, member, load, … (an empty load keeps the last one).
-- Answers the members that are not registered (any more).
local function is_number(value, most)
  return value == nil or (type(value) == 'number' and value >= 0 and value < most)
end

local function is_count(value)
  return is_number(value, 2 ^ 53) and (value == nil or value == math.floor(value))
end

-- Name, value and rule of what is wrong with free-form metrics; nothing if nothing is.
local function metrics_fault(metrics)
  if type(metrics) ~= 'table' then
    return 'metrics', metrics, 'an object of at most 32 numbers'
  end
  local count = 0
  for name, value in pairs(metrics) do
    count = count + 1
    if type(name) ~= 'string' or #name > 64 or not string.find(name, '^[%w._:-]+$') then
      return 'metrics', name, 'names of 1 to 64 letters, digits and any of . _ : -'
    end
    -- What is no number at all (NaN) is no less than anything either.
    if type(value) ~= 'number' or not (math.abs(value) < math.huge) then
      return 'metrics.' .. name, value, 'a finite number'
    end
  end
  if count > 32 then
    return 'metrics', 'an object of ' .. count, 'an object of at most 32 numbers'
  end
end

local function fault(load)
  if #load > LARGEST_LOAD then
    return 'the load', #load .. ' bytes', 'at most ' .. LARGEST_LOAD .. ' bytes'
  end
  local read, sample = pcall(cjson.decode, load)
  if not read or type(sample) ~= 'table' then
    return 'the load', 'not JSON', 'one JSON object'
  end
  if not is_number(sample.cpu, 1e9) then
    return 'cpu', sample.cpu, 'a percentage of one core, 0 or more'
  end
  if not is_count(sample.memory) then
    return 'memory', sample.memory, 'a whole number of bytes'
  end
  if not is_count(sample.in_flight) then
    return 'in_flight', sample.in_flight, 'a whole number of requests, 0 or more'
  end
  if sample.metrics ~= nil then
    return metrics_fault(sample.metrics)
  end
end

local until_then = lease_end(ARGV[1])
if not until_then then
  return refuse('lease', ARGV[1] or 'missing', LEASE)
end
if #ARGV % 2 == 0 then
  return refuse('arguments', 'a member without a load', 'lease, member, load, member, load, ... (a load may be empty)')
end
for i = 3, #ARGV, 2 do
  if ARGV[i] ~= '' then
    local name, wrong, right = fault(ARGV[i])
    if name then
      return refuse(name, wrong, right)
    end
  end
end

local unknown = {}
for i = 2, #ARGV, 2 do
  local member, load = ARGV[i], ARGV[i + 1]
  if redis.call('HEXISTS', records, member) == 1 then
    redis.call('ZADD', leases, until_then, member)
    if load ~= '' then
      redis.call('HSET', loads, member, load)
    end
  else
    unknown[#unknown + 1] = member
  end
end
return unknown
