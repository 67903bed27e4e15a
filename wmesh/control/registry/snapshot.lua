-- The whole registry at one instant, with the place in the stream where its changes go on.
-- ARGV: the version, the number of records and the number of wills that the reader has (or empty strings).
-- Answers {version, last entry of the stream}, and, unless the reader is right, two lists: member, record, member,
-- record, … and member, will, member, will, …
-- What is too large for any reader is cut to just that: too large.
local current = current_version()
local entry = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
local position = entry and entry[1] or '0-0'
if ARGV[1] == current and tonumber(ARGV[2]) == redis.call('HLEN', records)
  and tonumber(ARGV[3]) == redis.call('HLEN', wills) then
  return {current, position}
end
local function all(key, largest)
  local flat = redis.call('HGETALL', key)
  for i, text in ipairs(flat) do
    if #text > largest then
      flat[i] = string.sub(text, 1, largest + 1)
    end
  end
  return flat
end
return {current, position, all(records, LARGEST_RECORD), all(wills, LARGEST_WILL)}
