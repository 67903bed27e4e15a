-- Take a record out at once. An unknown one is no error.   ARGV: member, reason.   Answers how many were taken out.
return remove(ARGV[1], ARGV[2])
