"""The page of the registry: what figures say of a goal, and that trouble does not stay unsaid."""

from __future__ import annotations

import json

from twisted.trial.unittest import TestCase

from bench.registry.records import Machine, Results, goals_table, page, percentile


def results() -> Results:
    machine = Machine("Some CPU", 2, 8 << 30, "Linux 6.1", "3.11.7", 0.1, "Valkey server v=9.1.2", 0, 10.0)
    return Results("2025-01-31T12:00:00+00:00", machine, {"fleet": 10000})


class Figures(TestCase):
    def test_percentile(self) -> None:
        values = [float(number) for number in range(1, 201)]
        self.assertEqual([percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)], [1.0, 100.0, 198.0, 200.0])
        self.assertEqual(percentile([7.0], 0.99), 7.0)

    def test_added_up(self) -> None:
        found = results()
        found.add("fleet", "CPU of Valkey", "%", 1.0)
        found.add("fleet", "CPU of Valkey", "%", 2.0, 3.0)
        self.assertEqual(list(found.of("fleet", "CPU of Valkey")), [1.0, 2.0, 3.0])
        self.assertEqual(list(found.of("crash", "CPU of Valkey")), [])
        self.assertEqual(json.loads(found.as_json())["series"][0]["values"], [1.0, 2.0, 3.0])


class Page(TestCase):
    def test_goals(self) -> None:
        """One bad window in three does not miss a goal for CPU; one long wait misses one for the worst case."""
        found = results()
        found.add("fleet", "CPU of the gateway", "%", 10.0, 20.0, 90.0)
        found.add("resync", "unchanged: until it is right again", "ms", 200.0, 1500.0)
        rows = {row.split("|")[1].strip(): row for row in goals_table(found).splitlines()}
        self.assertRegex(rows["heartbeats of the fleet: gateway, % of a core"], r"30 \| +20\.0 \| +met ")
        self.assertRegex(rows["resync, nothing changed, worst ms"], r"1000 \| +1,500 \| +MISSED ")
        self.assertIn("not measured", rows["changes: change to applied, p99 ms"])

    def test_what_to_beware_of(self) -> None:
        found = results()
        found.add("crash", "crash to eviction", "s", 2.5)
        titles = {"crash": "how long", "fleet": "how much"}
        self.assertNotIn("Beware", page(found, titles))
        found.others += [1.0, 30.0]
        found.troubles.append("crash: 3 of 100 requests to /plain/ failed")
        text = page(found, titles)
        self.assertIn("in 1 of 2 windows the gateway waited for its core more than 5%", text)
        self.assertIn("- crash: 3 of 100 requests to /plain/ failed", text)
        self.assertIn("## crash: how long", text)
        self.assertNotIn("## fleet", text)
