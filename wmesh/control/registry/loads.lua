-- The last load samples.   No ARGV. Answers member, load, member, load, …
-- Samples of nobody and samples that are too large for any reader are thrown away: they are hints, and come again.
local all = redis.call('HGETALL', loads)
local orphans = #all / 2 > redis.call('HLEN', records)
local kept = {}
for i = 1, #all, 2 do
  local member, load = all[i], all[i + 1]
  if #load > LARGEST_LOAD or (orphans and redis.call('HEXISTS', records, member) == 0) then
    redis.call('HDEL', loads, member)
  else
    kept[#kept + 1] = member
    kept[#kept + 1] = load
  end
end
return kept
