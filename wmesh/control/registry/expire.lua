-- Evict what was not renewed, by this server's clock. Any number of gateways may run it, at any time.
-- ARGV: lease in milliseconds for records that have none; how many to evict at most in one go (0: none); until when this
-- call is meant, in milliseconds of this server's clock. A call that the server reads later than that evicts nothing: it
-- stopped in between, so nobody could renew either, and those who asked have long given up.
-- Answers {version, evicted, milliseconds to the end of the next lease or -1, milliseconds of this server's clock}.
local until_then, limit, meant_until = lease_end(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not until_then then
  return refuse('lease', ARGV[1] or 'missing', LEASE)
end
if not limit or limit < 0 or not meant_until then
  return refuse('arguments', 'no limit or no time', 'lease, how many at most (0 or more), milliseconds of the clock')
end
if now > meant_until then
  limit = 0
end

local evicted = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit)) do
  evicted = evicted + remove(member, 'lease expired')
end

-- A lease without end (written by hand, or by a clock that has been put back since) is one like any other.
local too_late = '(' .. whole(now + LONGEST_LEASE)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', leases, too_late, '+inf', 'LIMIT', 0, 500)) do
  redis.call('ZADD', leases, until_then, member)
end

-- Records and leases come in pairs, unless somebody wrote by hand. A record without a lease would stay for ever unseen:
-- it is taken in as if it had just been registered. A lease without a record is nothing.
if redis.call('HLEN', records) ~= redis.call('ZCARD', leases) then
  for _, member in ipairs(redis.call('HKEYS', records)) do
    if not sound(member) then
      redis.call('HDEL', records, member)
    elseif not redis.call('ZSCORE', leases, member) then
      redis.call('ZADD', leases, until_then, member)
      tell('put', member, 'record', redis.call('HGET', records, member))
    end
  end
  for _, member in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    if redis.call('HEXISTS', records, member) == 0 then
      redis.call('ZREM', leases, member)
    end
  end
end

local due = -1
local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
if first[2] then
  due = math.max(0, tonumber(first[2]) - now)
end
return {current_version(), evicted, due, now}
