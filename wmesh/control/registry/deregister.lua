-- Take a record out at once. An unknown one is no error.   ARGV: member, reason, and perhaps a record: then only if it
-- is this one that stands there, for under the same id somebody else may have registered since. The reason is for logs;
-- readers take 'deregistered' (the default) for a farewell, and anything else for a lease that vanished.
-- Answers how many were taken out.
local reason = ARGV[2] or 'deregistered'
if not ARGV[1] then
  return refuse('member', 'missing', 'service/id')
end
if #reason > 128 or string.find(reason, '%c') then
  return refuse('reason', reason, 'at most 128 bytes without control characters')
end
if (ARGV[3] or '') ~= '' and redis.call('HGET', records, ARGV[1]) ~= ARGV[3] then
  return 0
end
return remove(ARGV[1], reason)
