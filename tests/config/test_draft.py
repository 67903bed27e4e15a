"""A draft knows where values came from, and blames that place."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.config.draft import Draft, Origin


class DraftTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.draft = Draft("mesh.ini")
        self.draft.headers["registry"] = 7

    def test_a_rule_broken_by_a_line(self) -> None:
        """The line of the option is blamed, or that of the header where the option is not written."""
        self.draft.put("registry", "lease", 1.0, Origin("mesh.ini", 9))
        self.draft.complain("registry", "lease", "bad")
        self.draft.complain("registry", "heartbeat", "bad")
        self.assertEqual([problem.line for problem in self.draft.problems], [9, 7])

    def test_a_rule_broken_by_a_variable(self) -> None:
        """A file that is good by itself is not blamed for what a variable made of it."""
        self.draft.put("registry", "url", "memory:", Origin("mesh.ini", 9))
        self.draft.put("registry", "url", "redis://h", Origin(variable="REDIS_HOST"))
        self.draft.complain("registry", "url", "bad", "better")
        self.assertEqual(str(self.draft.problems[0]), "environment: REDIS_HOST: bad; better")

    def test_values(self) -> None:
        """What nobody gave is the default; a later good value heals a bad one."""
        self.assertEqual(self.draft.value("registry", "lease"), 15.0)
        self.draft.spoil("registry", "lease", Origin("mesh.ini", 9))
        self.assertFalse(self.draft.sound("registry", "heartbeat", "lease"))
        self.assertFalse(self.draft.given("registry", "lease"))
        self.draft.put("registry", "lease", 20.0, Origin(variable="X"))
        self.assertTrue(self.draft.sound("registry", "lease"))
        self.assertEqual(self.draft.value("registry", "lease"), 20.0)

    def test_routes_have_it_from_their_service(self) -> None:
        """What the section of a route does not say is its service's, and so is the blame for it, which falls once."""
        draft = self.draft
        draft.parents["route:x"] = "service:shop"
        draft.put("service:shop", "retry_attempts", 5, Origin("mesh.ini", 3))
        draft.spoil("service:shop", "timeout_idle", Origin("mesh.ini", 4))
        draft.put("route:x", "timeout_request", 1.0, Origin("mesh.ini", 8))
        options = ("retry_attempts", "timeout_request", "match")
        self.assertEqual([draft.value("route:x", option) for option in options], [5, 1.0, ()])
        self.assertEqual([draft.given("route:x", option) for option in options], [False, True, False])
        self.assertEqual(draft.value("service:shop", "timeout_request"), 0.0)
        self.assertFalse(draft.sound("route:x", "timeout_idle"))
        for section in ("service:shop", "route:x"):
            draft.complain(section, "retry_attempts", "bad")
            draft.complain(section, "timeout_request", "bad")
        told = [(problem.section, problem.line) for problem in draft.problems]
        self.assertEqual(told, [("service:shop", 3), ("service:shop", 0), ("route:x", 8)])
