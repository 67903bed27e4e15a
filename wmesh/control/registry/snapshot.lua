-- The whole registry at one instant, with the place in the stream where its changes go on.
-- ARGV: the version and the number of records that the reader has (or two empty strings).
-- Answers {version, last entry of the stream}, followed by member, record, member, record, … unless the reader is right.
-- What is too large for any reader is cut to just that: too large.
local current = current_version()
local entry = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
local position = entry and entry[1] or '0-0'
if ARGV[1] == current and tonumber(ARGV[2]) == redis.call('HLEN', records) then
  return {current, position}
end
local all = redis.call('HGETALL', records)
for i, text in ipairs(all) do
  if #text > LARGEST_RECORD then
    all[i] = string.sub(text, 1, LARGEST_RECORD + 1)
  end
end
return {current, position, all}
