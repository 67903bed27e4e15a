-- What a browser sends on a same-site fetch: Host (wrk adds it) and nine more header fields.
-- Words after "--": "close" asks for a new connection per request; "varied" makes no two requests alike, so that
-- nothing a proxy may remember of one request helps it with the next; "put" sends 1 KiB with PUT; "cookie=NAME=VALUE"
-- is one cookie more, and comes before "varied".
-- At the end, one line of JSON: everything that bench/load.py wants to know, in microseconds and bytes.

local more = ""

function init(args)
   wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
   wrk.headers["Accept"] = "application/json, text/plain, */*"
   wrk.headers["Accept-Language"] = "en-GB,en;q=0.8,de;q=0.5"
   wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
   wrk.headers["Referer"] = "https://shop.example/groceries/vegetables?page=2"
   wrk.headers["Cookie"] = "session=9f2c1e7ab34d4c5e8f60718293a4b5c6; theme=dark; consent=1"
   wrk.headers["Sec-Fetch-Dest"] = "empty"
   wrk.headers["Sec-Fetch-Mode"] = "cors"
   wrk.headers["Sec-Fetch-Site"] = "same-origin"
   for _, word in ipairs(args) do
      if word == "close" then
         wrk.headers["Connection"] = "close"
      elseif word == "varied" then
         vary()
      elseif word == "put" then
         wrk.method = "PUT"
         wrk.body = string.rep("x", 1024)
      elseif word:sub(1, 7) == "cookie=" then
         more = "; " .. word:sub(8)
         wrk.headers["Cookie"] = wrk.headers["Cookie"] .. more
      end
   end
end

function vary()
   wrk.headers["Cookie"] = "session=COUNT9f2c1e7ab34d4c5e8f6071; theme=dark; consent=1" .. more
   wrk.headers["Traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0eCOUNT-00f067aa0ba902b7-01"
   local parts = {}
   local count = 10000000 + math.floor(1000000 * (os.clock() % 10))
   -- Made once, then only the numbers are put in: the generator must stay cheaper than any proxy.
   local whole = wrk.format("GET", wrk.path .. "?n=COUNT")
   for part in (whole .. "COUNT"):gmatch("(.-)COUNT") do
      parts[#parts + 1] = part
   end
   local first, second, third, fourth = parts[1], parts[2], parts[3], parts[4]
   request = function()
      count = count + 1
      return first .. count .. second .. count .. third .. count .. fourth
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'bench-summary {"requests": %d, "duration": %d, "bytes": %.0f, "p50": %.0f, "p99": %.0f, "max": %.0f, '
         .. '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\n',
      summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99), latency.max,
      errors.connect, errors.read, errors.write, errors.timeout, errors.status))
end
