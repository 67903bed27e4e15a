-- Put records in, each with a fresh lease. A record that stands there already is only renewed: nobody is woken.
-- ARGV: lease in milliseconds, then member, record, member, record, …   Answers the version.
local lease_end = now + tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local member, record = ARGV[i], ARGV[i + 1]
  redis.call('ZADD', leases, lease_end, member)
  if redis.call('HGET', records, member) ~= record then
    redis.call('HSET', records, member, record)
    tell('put', member, 'record', record)
  end
end
return current_version()
