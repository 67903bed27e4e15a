"""`wmesh instances`: the table, JSON, and watching."""

from __future__ import annotations

import json

from tests.cli.admin_side import CommandCase
from wmesh.cli import instances


class InstancesTests(CommandCase):
    def test_table(self) -> None:
        """One line an instance, with its load and the reason why it gets nothing."""
        status, out, _ = self.wmesh("instances", "pricing")
        self.assertEqual(status, 0)
        line = out.splitlines()[-1]
        for words in ("p1", "unknown", "no", "12.5%", "70 MiB"):
            self.assertIn(words, line)

    def test_of_no_declared_service(self) -> None:
        """What stands in the registry is shown; a name that is nowhere is 1, with the gateway's own words."""
        self.assertIn("10.0.0.9:80", self.wmesh("instances", "prizing")[1])
        self.assertEqual(self.wmesh("instances", "nope"), (1, "", "wmesh: no such service\n"))

    def test_watching(self) -> None:
        """Printed when it changes, one line of JSON each; a gateway that goes away meanwhile is said once."""
        steps = iter(["same", "changed", "away", "away", "end"])

        def sleep(seconds: float) -> None:
            step = next(steps)
            if step == "changed":
                self.documents["/services/pricing"]["status"] = "healthy"
            elif step == "away":
                self.documents.clear()
            elif step == "end":
                raise KeyboardInterrupt

        self.patch(instances.time, "sleep", sleep)
        status, out, err = self.wmesh("instances", "pricing", "--watch", "--json")
        self.assertEqual([json.loads(line)["status"] for line in out.splitlines()], ["starting", "healthy"])
        self.assertEqual((status, len(err.splitlines())), (0, 1))

    def test_nothing_steers_the_terminal(self) -> None:
        """Texts may come from anywhere."""
        self.documents["/services/pricing"]["instances"][0]["reasons"] = ["\x1b[2Jgone"]
        self.assertNotIn("\x1b", self.wmesh("instances", "pricing")[1])
