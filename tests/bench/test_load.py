"""wrk's summary: found among its other output, every field in its unit, errors by kind."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from bench.load import LoadError, parse

OUTPUT = """\
Running 5s test @ http://127.0.0.1:18003/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.29ms    1.36ms  15.13ms   85.93%
    Req/Sec    28.07k     2.02k   33.62k    70.00%
  139847 requests in 5.01s, 187.92MB read
Requests/sec:  27913.91
Transfer/sec:     37.51MB
bench-summary {"requests": 139847, "duration": 5009940, "bytes": 197048323, "p50": 2104, "p99": 6700, "max": 15130, \
"connect": 0, "read": 3, "write": 0, "timeout": 1, "status": 2}
"""


class Parse(TestCase):
    def test_figures(self) -> None:
        load = parse(OUTPUT)
        self.assertEqual(load.requests, 139847)
        self.assertEqual(load.bytes, 197048323)
        self.assertAlmostEqual(load.seconds, 5.00994)
        self.assertAlmostEqual(load.rate, 27913.91, places=2)
        self.assertEqual((load.p50, load.p99, load.worst), (2104.0, 6700.0, 15130.0))

    def test_errors(self) -> None:
        load = parse(OUTPUT)
        self.assertEqual(load.errors, 6)
        self.assertEqual(load.describe_errors(), "3 read, 1 timeout, 2 status")

    def test_no_errors(self) -> None:
        load = parse(
            OUTPUT.replace('"read": 3', '"read": 0').replace("1, ", "0, ").replace('"status": 2', '"status": 0')
        )
        self.assertEqual(load.errors, 0)
        self.assertEqual(load.describe_errors(), "")

    def test_no_summary(self) -> None:
        with self.assertRaises(LoadError) as caught:
            parse("unable to connect to 127.0.0.1:18003 Connection refused\n")
        self.assertIn("Connection refused", str(caught.exception))

    def test_nothing(self) -> None:
        with self.assertRaises(LoadError) as caught:
            parse("")
        self.assertIn("nothing", str(caught.exception))
