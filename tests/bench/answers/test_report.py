"""Cells and the page."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from bench.answers.play import Outcome, Tally
from bench.answers.report import Results, cell, page

ALL = Tally(24, 24)


class CellTests(SynchronousTestCase):
    def test_before(self) -> None:
        self.assertEqual(cell("before", Outcome(ALL, ALL)), "all well")
        self.assertEqual(cell("before", Outcome(Tally(300, 299, 1), ALL)), "GET 99 %")
        found = cell("before", Outcome(ALL, Tally(24, 12, 9, 2, 1), twice=3))
        self.assertEqual(found, "POST 50 %, **3 twice**, **2 hidden**, **1 hang**")

    def test_after(self) -> None:
        self.assertEqual(cell("after", Outcome(Tally(24, 12, 12), Tally(24, 12, 12))), "visible")
        self.assertEqual(cell("after", Outcome(Tally(24, 12, 0, 12), ALL)), "**12 hidden**")
        self.assertEqual(cell("after", Outcome(ALL, ALL)), "read leniently")

    def test_early(self) -> None:
        self.assertEqual(cell("early", Outcome(Tally(), Tally(8, 8))), "8 of 8 told")

    def test_missing(self) -> None:
        self.assertEqual(cell("after", None), "–")


class PageTests(SynchronousTestCase):
    def test_page(self) -> None:
        results = Results("today", {"wmesh": "1", "nginx": "2"}, "Set up well.")
        bad = Outcome(Tally(24, 12, 10, 2), ALL, twice=3)
        results.outcomes = {"before": {"closes": {"wmesh": Outcome(ALL, ALL), "nginx": bad}, "resets": {"wmesh": bad}}}
        results.failures.append("nginx, resets: FAILED: gone")
        rows = {
            tuple(cell.strip() for cell in line.split("|")[1:-1])
            for line in page(results).splitlines()
            if line.startswith("|")
        }
        self.assertIn(("wmesh", "75.0 %", "1 of 2", "3", "1", "0"), rows)
        self.assertIn(("nginx", "50.0 %", "0 of 1", "3", "1", "0"), rows)
        self.assertIn(("resets", "GET 50 %, **3 twice**, **2 hidden**", "–"), rows)
        self.assertIn("nginx, resets: FAILED: gone", page(results))
        self.assertEqual(json.loads(results.as_json())["outcomes"]["before"]["closes"]["nginx"]["twice"], 3)
