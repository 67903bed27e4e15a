-- Put in what operators said of instances, registered or not.   ARGV: member, will, member, will, …
-- Of state and weight, each on its own, what was said later stands ("since"; of the same millisecond, what stands there
-- already), so this may be repeated, and late. What changes nothing but "until" wakes nobody. And whatever was
-- to be remembered only until now is forgotten: told as a will that is empty. Answers the version.
local STATES = {ready = true, drain = true, maint = true}

local function is_moment(value)
  return type(value) == 'number' and value >= 1 and value < 1e14 and value == math.floor(value)
end

-- Name, value and rule of what is wrong with one aspect; nothing if nothing is.
local function said_fault(name, said, right, rule)
  if said == nil then
    return
  end
  if type(said) ~= 'table' then
    return name, said, 'an object of is, since, by'
  end
  for key in pairs(said) do
    if key ~= 'is' and key ~= 'since' and key ~= 'by' then
      return name .. '.' .. tostring(key), 'unknown field', 'one of is, since, by'
    end
  end
  if not is_moment(said.since) then
    return name .. '.since', said.since or 'missing', 'milliseconds since 1970'
  end
  if said.by ~= nil and (type(said.by) ~= 'string' or #said.by > 512 or string.find(said.by, '%c')) then
    return name .. '.by', said.by, '0 to 128 printable characters'
  end
  if not right(said.is) then
    return name .. '.is', said.is == nil and 'missing' or said.is, rule
  end
end

local function is_state(value)
  return type(value) == 'string' and STATES[value] == true
end

local function is_weight(value)
  return value == cjson.null
    or (type(value) == 'number' and value >= 1 and value <= 1000 and value == math.floor(value))
end

-- The will in a text; or nil and name, value and rule of the first field that is wrong.
local function read(member, text)
  if not sound(member) then
    return nil, 'member', member, 'service/id, at most 257 bytes'
  end
  if #text > LARGEST_WILL then
    return nil, 'the will', #text .. ' bytes', 'at most ' .. LARGEST_WILL .. ' bytes'
  end
  local decoded, will = pcall(cjson.decode, text)
  if not decoded or type(will) ~= 'table' then
    return nil, 'the will', 'not JSON', 'one JSON object'
  end
  if will.v ~= 1 then
    return nil, 'v', will.v or 'missing', '1'
  end
  for key in pairs(will) do
    if key ~= 'v' and key ~= 'until' and key ~= 'state' and key ~= 'weight' then
      return nil, tostring(key), 'unknown field', 'one of v, until, state, weight'
    end
  end
  if not is_moment(will['until']) then
    return nil, 'until', will['until'] or 'missing', 'milliseconds since 1970'
  end
  if will.state == nil and will.weight == nil then
    return nil, 'state, weight', 'missing', 'one of them, or both'
  end
  local name, wrong, right = said_fault('state', will.state, is_state, 'ready, drain or maint')
  if not name then
    name, wrong, right = said_fault('weight', will.weight, is_weight, 'a whole number from 1 to 1000, or null')
  end
  if name then
    return nil, name, wrong, right
  end
  return will
end

-- The later of two, and whether that is the new one.
local function later(old, new)
  if new == nil or (old ~= nil and new.since <= old.since) then
    return old, false
  end
  return new, true
end

if #ARGV % 2 == 1 then
  return refuse('arguments', 'a member without a will', 'member, will, member, will, ...')
end
local given = {}
for i = 1, #ARGV, 2 do
  local will, name, wrong, right = read(ARGV[i], ARGV[i + 1])
  if not will then
    return refuse(name, wrong, right)
  end
  given[i] = will
end

for i = 1, #ARGV, 2 do
  local member, will, text = ARGV[i], given[i], ARGV[i + 1]
  local stands = redis.call('HGET', wills, member)
  -- What stands there by hand, and is nonsense, is nothing.
  local old = stands and read(member, stands)
  if not old then
    redis.call('HSET', wills, member, text)
    tell('will', member, 'will', text)
  else
    local state, weight, new_state, new_weight
    state, new_state = later(old.state, will.state)
    weight, new_weight = later(old.weight, will.weight)
    local last = math.max(old['until'], will['until'])
    if new_state or new_weight or last > old['until'] then
      text = cjson.encode({v = 1, ['until'] = last, state = state, weight = weight})
      redis.call('HSET', wills, member, text)
      if new_state or new_weight then
        tell('will', member, 'will', text)
      end
    end
  end
end

local all = redis.call('HGETALL', wills)
for i = 1, #all, 2 do
  local will = read(all[i], all[i + 1])
  if not will or will['until'] < now then
    redis.call('HDEL', wills, all[i])
    if sound(all[i]) then
      tell('will', all[i], 'will', '')
    end
  end
end
return current_version()
