"""Tests of wmesh.cluster.health: every state, every result."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cluster.health import ActiveHealth
from wmesh.model import CheckSpec, Health

SPEC = CheckSpec(path="/health", rise=2, fall=3)


class ActiveHealthTests(SynchronousTestCase):
    def health(self, state: Health) -> ActiveHealth:
        health = ActiveHealth(SPEC, 0.0)
        health.state = state
        return health

    def flips(self, health: ActiveHealth, results: str) -> list[bool]:
        """Takes results written as "+-" and tells after which the state flipped."""
        return [health.observe(sign == "+", f"result {sign}", float(at)) for at, sign in enumerate(results, 1)]

    def test_every_state_and_result(self) -> None:
        """The table of the module's picture: how many results of a kind flip each state, and to what."""
        table = {
            (Health.UNKNOWN, "+"): ("+", Health.HEALTHY),
            (Health.UNKNOWN, "-"): ("---", Health.UNHEALTHY),
            (Health.HEALTHY, "-"): ("---", Health.UNHEALTHY),
            (Health.UNHEALTHY, "+"): ("++", Health.HEALTHY),
        }
        for (state, _), (results, after) in table.items():
            health = self.health(state)
            self.assertEqual(self.flips(health, results), [False] * (len(results) - 1) + [True], state)
            self.assertIs(health.state, after)
        for state, sign in ((Health.HEALTHY, "+"), (Health.UNHEALTHY, "-")):
            health = self.health(state)
            self.assertEqual(self.flips(health, sign * 10), [False] * 10)
            self.assertIs(health.state, state)

    def test_an_opposite_result_starts_the_count_again(self) -> None:
        """An instance that fails now and then, but never three times running, stays in."""
        health = self.health(Health.HEALTHY)
        self.assertEqual(self.flips(health, "--+--+--+"), [False] * 9)
        sick = self.health(Health.UNHEALTHY)
        self.assertEqual(self.flips(sick, "+-+-++"), [False] * 5 + [True])

    def test_proof(self) -> None:
        """One failure that is proof takes anybody out; back in is the usual way."""
        for state, flipped in ((Health.UNKNOWN, True), (Health.HEALTHY, True), (Health.UNHEALTHY, False)):
            health = self.health(state)
            self.assertIs(health.observe(False, "answers as b", 1.0, proof=True), flipped, state)
            self.assertIs(health.state, Health.UNHEALTHY)
            self.assertEqual((health.reason, health.streak), ("answers as b", 0))
            self.assertEqual(self.flips(health, "++"), [False, True])

    def test_reason_and_moment_belong_to_the_flip(self) -> None:
        """What an operator reads is the result that flipped it, and since when."""
        health = self.health(Health.HEALTHY)
        for at, reason in enumerate(("timeout", "refused", "status 503"), 7):
            health.observe(False, reason, float(at))
        self.assertEqual((health.reason, health.since), ("status 503", 9.0))

    def test_checks_come_faster_while_in_doubt(self) -> None:
        """Unknown, or on the way to flip, is not settled; a confirmed state is."""
        health = ActiveHealth(SPEC, 0.0)
        self.assertFalse(health.settled)
        self.flips(health, "+")
        self.assertTrue(health.settled)
        self.flips(health, "-")
        self.assertFalse(health.settled)
        self.flips(health, "+")
        self.assertTrue(health.settled)

    def test_without_checks_it_is_eligible_at_once(self) -> None:
        """A service whose checks are off does not wait for evidence that never comes."""
        health = ActiveHealth(replace(SPEC, enabled=False), 5.0)
        self.assertIs(health.state, Health.HEALTHY)
        self.assertEqual((health.reason, health.since), ("checks are off", 5.0))
