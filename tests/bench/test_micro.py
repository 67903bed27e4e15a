"""The harness of the micro-benchmarks, and that every subject still runs against the code it times."""

from __future__ import annotations

import importlib

from twisted.trial.unittest import TestCase

from bench.micro.__main__ import SUBJECTS
from bench.micro.timing import Timed, Timing, lines, measure


class Harness(TestCase):
    def test_measures_what_a_statement_takes(self) -> None:
        short = measure(Timing("short", "sum(numbers)", {"numbers": range(10)}), tries=3, seconds=0.001)
        long = measure(Timing("long", "sum(numbers)", {"numbers": range(10_000)}), tries=3, seconds=0.001)
        self.assertGreater(long.best, 10 * short.best)
        self.assertGreaterEqual(short.scatter, 0.0)

    def test_table(self) -> None:
        expected = [
            "things             ns  scatter",
            "one             1,235      50%",
            "the other           7       0%",
        ]
        self.assertEqual(lines("things", [Timed("one", 1234.6, 0.5), Timed("the other", 7.0, 0.0)]), expected)


class Subjects(TestCase):
    def test_every_statement_runs(self) -> None:
        for subject in SUBJECTS:
            for timing in importlib.import_module(f"bench.micro.{subject}").timings():
                exec(timing.statement, dict(timing.names))
