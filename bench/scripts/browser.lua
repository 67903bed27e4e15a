-- What a browser sends on a same-site fetch: Host (wrk adds it) and nine more header fields.
-- The argument "close" after "--" asks for a new connection per request.
-- At the end, one line of JSON: everything that bench/load.py wants to know, in microseconds and bytes.

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
      end
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
