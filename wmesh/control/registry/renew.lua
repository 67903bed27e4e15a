-- Renew leases and note loads. It changes no record, so it makes no version and wakes nobody.
-- ARGV: lease in milliseconds, then member, load, member, load, … (an empty load keeps the last one).
-- Answers the members that are not registered (any more).
local lease_end = now + tonumber(ARGV[1])
local unknown = {}
for i = 2, #ARGV, 2 do
  local member, load = ARGV[i], ARGV[i + 1]
  if redis.call('HEXISTS', records, member) == 1 then
    redis.call('ZADD', leases, lease_end, member)
    if load ~= '' then
      redis.call('HSET', loads, member, load)
    end
  else
    unknown[#unknown + 1] = member
  end
end
return unknown
