"""The page of scores."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.conformance.report import faults, page, score
from bench.conformance.verdict import Kind, Verdict

FOUND = {
    "framing": {"good": Verdict("200"), "wrong": Verdict("200, kept", "kept", kind=Kind.LENIENT)},
    "answers": {"bad": Verdict("200 +5", "passed on", "looks whole", Kind.UNSAFE)},
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
        lines = page({"wmesh": FOUND}, {"wmesh": "1"}, "today", "As they are.").splitlines()
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| wmesh")]
        self.assertEqual(rows, [["wmesh", "1", "0", "1", "0", "0", "1"], ["wmesh", "1", "0", "1"]])
        self.assertIn("| proxy | framing (2) | answers (1) | all (3) |", lines)
        self.assertIn("As they are.", lines)
        self.assertLess(lines.index("*unsafe*:"), lines.index("*let through*:"))
        self.assertIn("- framing wrong: kept (200, kept)", lines)
