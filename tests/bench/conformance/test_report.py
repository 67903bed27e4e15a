"""The page of scores."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.conformance.report import faults, page, score
from bench.conformance.verdict import Verdict

FOUND = {
    "framing": {"good": Verdict("200"), "wrong": Verdict("200, kept", "kept")},
    "answers": {"bad": Verdict("200 +5", "passed on", "looks whole")},
}


class ReportTests(SynchronousTestCase):
    def test_score(self) -> None:
        self.assertEqual(score(FOUND), "1 of 3, 1 unsafe")

    def test_faults(self) -> None:
        self.assertEqual(
            faults(FOUND),
            ["- framing wrong: kept (200, kept)", "- UNSAFE answers bad: looks whole (200 +5)"],
        )

    def test_page(self) -> None:
        lines = page({"wmesh": FOUND}, {"wmesh": "1"}, "today").splitlines()
        row = next(line for line in lines if line.startswith("| wmesh"))
        self.assertEqual([cell.strip() for cell in row.split("|")[1:-1]], ["wmesh", "1", "0", "1", "1"])
        self.assertIn("| proxy | framing (2) | answers (1) | all (3) | unsafe |", lines)
