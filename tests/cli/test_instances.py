"""`wmesh instances`: the table, JSON, and watching."""

from __future__ import annotations

import contextlib
import io
import json

from tests.cli.admin_side import CommandCase
from wmesh.cli import instances, main
from wmesh.cli.admin import AdminError, complain


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
        self.documents["/services/pricing"]["reason"] = "\x9b2Jgone"
        self.documents["/services/pricing"]["instances"][0]["version"] = "\u202e\x7f"
        for more in ((), ("--json",)):
            out = self.wmesh("instances", "pricing", *more)[1]
            self.assertTrue(all(sign.isprintable() or sign == "\n" for sign in out), out)
        with contextlib.redirect_stderr(io.StringIO()) as err:
            complain(AdminError("\x9b2J"))
        self.assertEqual(err.getvalue(), "wmesh: \\x9b2J\n")

    def test_a_watch_that_never_began(self) -> None:
        """1, and nothing is waited for."""
        self.documents.clear()
        self.assertEqual(self.wmesh("instances", "pricing", "--watch")[0], 1)

    def test_what_is_no_news(self) -> None:
        """Ages grow from look to look: only for that, nothing is printed again. A gateway that is back is."""
        instance = self.documents["/services/pricing"]["instances"][0]
        shown = dict(self.documents)
        steps = iter(["older", "older", "away", "back", "end"])

        def sleep(seconds: float) -> None:
            step = next(steps)
            if step == "older":
                instance["since_seconds"] += 1.0
                instance["age_seconds"] += 1.0
            elif step == "away":
                self.documents.clear()
            elif step == "back":
                self.documents.update(shown)
                instance["in_flight"] = 7
            else:
                raise KeyboardInterrupt

        self.patch(instances.time, "sleep", sleep)
        status, out, err = self.wmesh("instances", "pricing", "--watch", "--json")
        flights = [json.loads(line)["instances"][0]["in_flight"] for line in out.splitlines()]
        self.assertEqual((status, flights, len(err.splitlines())), (0, [0, 7], 1))

    def test_at_a_terminal(self) -> None:
        """There the table is drawn anew in place, at each look, also when nothing changed."""

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        def sleep(seconds: float) -> None:
            if out.getvalue().count("\x1b[2J") == 2:
                raise KeyboardInterrupt

        self.patch(instances.time, "sleep", sleep)
        with contextlib.redirect_stdout(Terminal()) as out:
            self.assertEqual(main(["instances", "pricing", "--watch", "--admin", self.url]), 0)
        self.assertEqual(out.getvalue().count("12.5%"), 2)
