-- Take a record out at once. An unknown one is no error.   ARGV: member, reason, and perhaps a record: then only if it
-- is this one that stands there, for under the same id somebody else may have registered since.
-- Answers how many were taken out.
if (ARGV[3] or '') ~= '' and redis.call('HGET', records, ARGV[1]) ~= ARGV[3] then
  return 0
end
return remove(ARGV[1], ARGV[2])
