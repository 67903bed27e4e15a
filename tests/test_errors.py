"""Tests of wmesh.errors: what people read when something is wrong."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh import errors
from wmesh.errors import ConfigError, ControlError, MeshError, Problem, RecordError, RegistryError, WireError


class ProblemTests(SynchronousTestCase):
    def test_it_reads_as_a_line_of_a_compiler(self) -> None:
        """Place first, so that editors jump there; then what is wrong; then what would be right."""
        problem = Problem(
            "etc/mesh.ini", 12, "service:api", "strategey", "unknown option", "did you mean load_balancing_strategy?"
        )
        self.assertEqual(
            str(problem),
            "etc/mesh.ini:12: [service:api] strategey: unknown option; did you mean load_balancing_strategy?",
        )

    def test_what_is_not_known_is_left_out(self) -> None:
        """A problem of a section, of an environment variable, or of the file as a whole reads well, too."""
        self.assertEqual(
            str(Problem("mesh.ini", 3, "service:api", "", "given twice")), "mesh.ini:3: [service:api]: given twice"
        )
        self.assertEqual(
            str(Problem("environment", 0, "", "REDIS_PORT", "not a number")), "environment: REDIS_PORT: not a number"
        )
        self.assertEqual(str(Problem("mesh.ini", 0, "", "", "no such file")), "mesh.ini: no such file")


class TreeTests(SynchronousTestCase):
    def test_one_root(self) -> None:
        """Whoever embeds wmesh can catch all of its errors, and nothing else, by one name."""
        found = [thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, Exception)]
        self.assertGreater(len(found), 5)
        self.assertTrue(all(issubclass(error, MeshError) for error in found), found)
        self.assertTrue(issubclass(RecordError, RegistryError))

    def test_all_problems_at_once(self) -> None:
        """A configuration error tells everything that is wrong, a line each, not only the first."""
        problems = [Problem("a.ini", 1, "", "", "one"), Problem("a.ini", 2, "", "", "two")]
        error = ConfigError(problems)
        self.assertEqual(error.problems, tuple(problems))
        self.assertEqual(str(error), "a.ini:1: one\na.ini:2: two")

    def test_errors_carry_the_status_a_client_deserves(self) -> None:
        """Unless said otherwise, a broken request is a 400 and an operation at the wrong time a 409."""
        self.assertEqual(
            (WireError("bad").status, WireError("long", 414).status, str(WireError("bad"))), (400, 414, "bad")
        )
        self.assertEqual((ControlError("not now").status, ControlError("who?", 404).status), (409, 404))
