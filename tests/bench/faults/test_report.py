"""Verdicts and the page: which figure decides, and that nothing that went wrong stays unsaid."""

from __future__ import annotations

import json
from dataclasses import replace

from twisted.trial.unittest import TestCase

from bench.faults.figures import Figures
from bench.faults.report import Results, back, kinds, page, scenario_table, share, summary_table
from bench.faults.verdicts import compare

FIGURES = Figures(
    asked=2400,
    failed={},
    slow=0,
    p50=5.0,
    p99=30.0,
    troubled=0.0,
    aftermath=0.0,
    share=0.05,
    fair=0.2,
    back=0.4,
    lag=3.0,
)


def failed(count: int) -> Figures:
    return replace(FIGURES, failed={"503": count} if count else {})


class Verdicts(TestCase):
    def test_failures_come_first(self) -> None:
        verdict = compare(failed(0), replace(failed(20), slow=500, p99=900.0))
        self.assertEqual((verdict.word, verdict.why), ("better", "failed 0 to 20"))
        verdict = compare(failed(240), replace(failed(20), slow=500, p99=900.0))
        self.assertEqual((verdict.word, verdict.why), ("worse", "failed 240 to 20"))

    def test_then_slow_then_p99_then_back(self) -> None:
        self.assertEqual(compare(replace(FIGURES, slow=100), FIGURES).why, "slow 100 to 0")
        self.assertEqual(compare(replace(FIGURES, p99=200.0), FIGURES).why, "p99 ms 200 to 30")
        self.assertEqual(compare(replace(FIGURES, back=None), FIGURES).why, "back after s 6 to 0.4")

    def test_chance_decides_nothing(self) -> None:
        close = replace(failed(3), slow=8, p99=40.0, back=1.5)
        self.assertEqual((compare(close, FIGURES).word, compare(FIGURES, close).word), ("equal", "equal"))
        self.assertEqual(compare(failed(330), failed(350)).word, "equal")


class Page(TestCase):
    def results(self) -> Results:
        found = Results("2025-01-31T12:00:00+00:00", 6, "All alike.", {"wmesh": "1", "haproxy": "2.8", "envoy": "1.4"})
        found.figures["errors"] = {"wmesh": failed(0), "haproxy": failed(40), "envoy": replace(FIGURES, lag=80.0)}
        return found

    def test_cells(self) -> None:
        self.assertEqual(kinds(FIGURES), "0")
        self.assertEqual(kinds(replace(FIGURES, failed={"503": 7, "cut": 5})), "12 (7 × 503, 5 × cut)")
        self.assertEqual((share(FIGURES), back(FIGURES)), ("5.0%", "0.4"))
        self.assertEqual(share(replace(FIGURES, share=None)), "–")
        self.assertEqual(back(replace(FIGURES, back=None)), "> 6")
        nobody = replace(FIGURES, fair=0.0, share=None)
        self.assertEqual((share(nobody), back(nobody)), ("–", "–"))

    def test_tables(self) -> None:
        results = self.results()
        self.assertIn("| errors   |           better |          equal |", summary_table(results))
        text = scenario_table(results.figures["errors"])
        self.assertIn("40 (40 × 503)", text)
        self.assertIn("better: failed 0 to 40", text)
        self.assertIn("| **wmesh** |", text)

    def test_page_tells_what_went_wrong(self) -> None:
        results = self.results()
        results.failures.append("envoy in cold: FAILED: it ended with 1")
        text = page(results)
        self.assertIn("## errors: One answers 500 at once", text)
        self.assertIn("envoy in cold: FAILED: it ended with 1", text)
        self.assertIn("envoy in errors: the crowd was up to 80 ms late", text)

    def test_without_wmesh_nothing_is_judged(self) -> None:
        results = self.results()
        del results.versions["wmesh"], results.figures["errors"]["wmesh"]
        self.assertNotIn("Verdicts", page(results))

    def test_json_holds_everything(self) -> None:
        found = json.loads(self.results().as_json())
        self.assertEqual(found["figures"]["errors"]["haproxy"]["failed"], {"503": 40})

    def test_json_can_be_read_again(self) -> None:
        results = self.results()
        self.assertEqual(Results.from_json(results.as_json()), results)
        for text in ("{}", "[]", '{"figures": {"errors": {"wmesh": {"asked": 1}}}}', "no JSON"):
            self.assertRaises((KeyError, ValueError, TypeError), Results.from_json, text)

    def test_some_are_played_again(self) -> None:
        """Their figures are the new ones, the others stay, and the page says so."""
        earlier, again = self.results(), self.results()
        earlier.figures["slow"] = {"wmesh": FIGURES}
        earlier.failures = ["envoy in errors: FAILED: it ended with 1", "envoy in slow: FAILED: it ended with 1"]
        again.started = "2025-01-31T13:00:00+00:00"
        again.figures["errors"]["wmesh"] = failed(7)
        both = again.within(earlier)
        self.assertEqual((both.started, list(both.figures)), (earlier.started, ["errors", "slow"]))
        self.assertEqual((both.figures["errors"], both.figures["slow"]), (again.figures["errors"], {"wmesh": FIGURES}))
        self.assertEqual(both.failures, earlier.failures[1:])
        self.assertIn("errors: played again at 2025-01-31T13:00:00+00:00, all proxies", page(both))

    def test_what_differs_is_not_mixed(self) -> None:
        for change in ({"seconds": 4}, {"settings": "Others."}, {"versions": {"wmesh": "2"}}):
            error = self.assertRaises(ValueError, replace(self.results(), **change).within, self.results())
            self.assertIn(next(iter(change)), str(error))
