"""The page: medians, spreads, ratios, goals, and that nothing that went wrong stays unsaid."""

from __future__ import annotations

import json

from twisted.trial.unittest import TestCase

from bench.goals import judge
from bench.records import Failure, IdleSample, LoadSample, Machine, Results
from bench.report import goals_table, number, page, progress_load, spread, table, warnings


def sample(
    peer: str, cpu: float, case: str = "small", turn: int = 1, errors: str = "", others: float = 0.0
) -> LoadSample:
    return LoadSample(
        peer=peer,
        case=case,
        turn=turn,
        cpu=cpu,
        rate=1e6 / cpu,
        p50=2000.0,
        p99=6543.0,
        requests=100_000,
        busy=0.97,
        others=others,
        rss=60_000_000,
        pss=50_000_000,
        errors=errors,
    )


def results(*loads: LoadSample) -> Results:
    machine = Machine("Some CPU", 2, 8 << 30, "Linux 6.1", "3.11.7", 0.1, "4.1.0", "nginx 1.31.3", 0, (1,))
    versions = dict.fromkeys(("wmesh", "nginx", "envoy", "traefik", "caddy"), "1.0")
    found = Results("2025-01-31T12:00:00+00:00", 5, 3, machine, versions, {"nginx": "default buffers"})
    found.loads.extend(loads)
    return found


class Numbers(TestCase):
    def test_three_digits(self) -> None:
        figures = (None, 0.0, 0.804, 24.14, 99.94, 384.4, 10702.0)
        self.assertEqual([number(figure) for figure in figures], ["–", "0.00", "0.80", "24.1", "99.9", "384", "10,702"])

    def test_spread(self) -> None:
        self.assertEqual(spread([25.0, 24.1, 24.5]), "24.1–25.0")
        self.assertEqual(spread([25.0]), "–")

    def test_table(self) -> None:
        expected = "| a   |    b |\n| --- | ---: |\n| xyz |    1 |\n| x   | 1000 |"
        self.assertEqual(table(["a", "b"], [["xyz", "1"], ["x", "1000"]]), expected)


class Figures(TestCase):
    def test_median_and_ratio(self) -> None:
        found = results(*(sample("wmesh", cpu) for cpu in (30.0, 20.0, 22.0)), sample("nginx", 20.0))
        self.assertEqual(found.cpu("wmesh", "small"), 22.0)
        self.assertEqual(found.ratio("wmesh", "nginx", "small"), 1.1)
        self.assertIsNone(found.ratio("wmesh", "envoy", "small"))

    def test_idle_memory_is_growth_per_connection(self) -> None:
        idle = IdleSample("wmesh", 1, 5000, 40_000_000, 50_000_000, 30_000_000, 35_000_000, "")
        self.assertEqual((idle.rss_each, idle.pss_each), (2000.0, 1000.0))

    def test_json_holds_everything(self) -> None:
        found = json.loads(results(sample("wmesh", 24.0)).as_json())
        self.assertEqual(found["loads"][0]["cpu"], 24.0)
        self.assertEqual(found["machine"]["cpu"], "Some CPU")


class Page(TestCase):
    def test_rows(self) -> None:
        found = results(sample("wmesh", 24.0), sample("wmesh", 26.0), sample("nginx", 20.0), sample("envoy", 40.0))
        text = page(found)
        [row] = [line for line in text.splitlines() if line.startswith("| **wmesh**")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        self.assertEqual(cells[:8], ["**wmesh**", "25.0", "24.0–26.0", "1.25", "0.62", "40,064", "6.54", "97%"])
        self.assertEqual(cells[-1], "none")
        self.assertIn("Some CPU, 2 cores, 8.0 GiB, Linux 6.1", text)
        self.assertIn("default buffers", text)
        self.assertNotIn("Beware", text)
        self.assertNotIn("## 64k", text)

    def test_errors_are_told(self) -> None:
        found = results(sample("wmesh", 24.0, errors="3 read"), sample("nginx", 20.0, others=0.4))
        found.failures.append(Failure("envoy", "64k", 2, "it ended with 1\n    a log line"))
        text = page(found)
        self.assertIn("3 read |", text)
        self.assertIn("**Beware:**", text)
        self.assertEqual(len(warnings(found)), 3)
        self.assertIn("envoy, 64k, round 2: FAILED: it ended with 1", warnings(found)[0])
        self.assertIn("at worst 40%: nginx, small", warnings(found)[1])
        self.assertTrue(found.troubled())

    def test_quiet_run_is_no_trouble(self) -> None:
        self.assertFalse(results(sample("wmesh", 24.0)).troubled())

    def test_progress(self) -> None:
        line = progress_load(sample("wmesh", 24.0, errors="1 timeout", others=0.2))
        self.assertEqual(
            line.strip(),
            "24.0 µs CPU/request, 41,667 requests/s, p99 6.54 ms, core 97% busy, OTHERS TOOK 20%, ERRORS: 1 timeout",
        )


class Goals(TestCase):
    def test_met_missed_and_not_measured(self) -> None:
        found = results(sample("wmesh", 24.0), sample("nginx", 25.0), sample("envoy", 29.0))
        found.idles.append(IdleSample("wmesh", 1, 5000, 40_000_000, 50_000_000, 0, 0, ""))
        met = {verdict.text: verdict.met for verdict in judge(found)}
        self.assertEqual(met["small: CPU per request to nginx's"], True)
        self.assertEqual(met["small: CPU per request to envoy's"], False)
        self.assertEqual(met["10m: CPU per request to nginx's"], None)
        self.assertEqual(met["small: resident memory afterwards, MB"], True)
        self.assertEqual(met["idle: memory per connection, KB"], True)
        self.assertIn("MISSED", goals_table(found))
        self.assertIn("not measured", goals_table(found))
