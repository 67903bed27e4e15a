"""Tests of wmesh.proxy.decisions: what is told of a request that is over."""

from __future__ import annotations

import json
from collections import deque

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member
from tests.proxy.samples import plan
from wmesh.proxy.decisions import LONGEST_TARGET, Note, Record, find, recent


def record(id: str = "r1", *notes: Note, status: int = 200, target: bytes = b"/shop/x", planned: bool = True) -> Record:
    route = plan("/shop/") if planned else None
    return (id.encode(), 10.0, 10.25, route, b"GET", target, status, a_member("a") if status == 200 else None, notes)


class DecisionTests(SynchronousTestCase):
    def test_all_that_is_known(self) -> None:
        """When, what, where to, how it ended, and each step with its time."""
        found = find([record("r1", (10.1, "b: reset: gone"), (10.2, "waits"))], "r1", 12.25, 1000.0)
        self.assertEqual(
            found,
            {
                "request_id": "r1",
                "ago_seconds": 2.0,
                "began_at": 997.75,
                "milliseconds": 250.0,
                "method": "GET",
                "target": "/shop/x",
                "route": "/shop/",
                "service": "pricing",
                "strategy": "round_robin",
                "status": 200,
                "instance": "a",
                "steps": [{"at_ms": 100.0, "what": "b: reset: gone"}, {"at_ms": 200.0, "what": "waits"}],
            },
        )

    def test_what_never_got_that_far(self) -> None:
        """Without a route, or broken off: nothing is made up."""
        found = find([record(status=0, planned=False)], "r1", 11.0, 0.0)
        assert found is not None
        self.assertEqual([found[name] for name in ("route", "service", "strategy", "status", "instance")], [None] * 5)

    def test_unknown(self) -> None:
        """None, whatever was asked for."""
        for wanted in ("", "r2", "r", "\ud800", "é"):
            self.assertIsNone(find([record()], wanted, 11.0, 0.0))

    def test_the_last_one_of_a_name(self) -> None:
        """Where a proxy before us calls several requests the same, the newest is meant."""
        found = find(deque([record(status=200), record(status=503)]), "r1", 11.0, 0.0)
        assert found is not None
        self.assertEqual(found["status"], 503)

    def test_bytes_that_are_no_text(self) -> None:
        """They are shown all the same, and a long target is cut."""
        found = find([record(target=b"/\xff" + b"x" * 9000)], "r1", 11.0, 0.0)
        self.assertIn("\\\\xff", json.dumps(found))
        assert found is not None
        self.assertLess(len(found["target"]), LONGEST_TARGET + 10)

    def test_the_newest_first(self) -> None:
        """As many as were asked for, or as there are."""
        ring = [record(f"r{number}") for number in range(5)]
        for count, ids in ((2, ["r4", "r3"]), (9, ["r4", "r3", "r2", "r1", "r0"]), (0, [])):
            self.assertEqual([one["request_id"] for one in recent(ring, count, 11.0, 0.0)], ids)
