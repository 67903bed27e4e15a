"""Tests of wmesh.proxy.watches: everybody is looked at in time, and one timer is enough for all."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from wmesh.proxy.watches import Watches


class One:
    def __init__(self, seen: list[tuple[str, float]], name: str) -> None:
        self._seen = seen
        self._name = name
        self.over = False

    def due(self, now: float) -> None:
        self._seen.append((self._name, now))


class WatchesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.watches = Watches(self.clock, self.clock.seconds)
        self.seen: list[tuple[str, float]] = []

    def add(self, name: str, when: float) -> One:
        made = One(self.seen, name)
        self.watches.add(when, made)
        return made

    def test_in_order(self) -> None:
        """Whatever the order in which they came, each at its moment, and once."""
        for name, when in (("b", 2.0), ("a", 1.0), ("c", 2.0)):
            self.add(name, when)
        self.clock.advance(0.5)
        self.add("past", 0.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([0.0, 0.5, 1.0, 5.0])
        self.assertEqual(self.seen, [("past", 0.5), ("a", 1.0), ("b", 2.0), ("c", 2.0)])
        self.assertEqual((len(self.watches), self.clock.getDelayedCalls()), (0, []))

    def test_what_has_ended(self) -> None:
        """Nobody looks at it, and it takes no turn of the timer when it comes to the top."""
        _, *others = [self.add(str(number), 1.0 + number) for number in range(100)]
        for other in others[:-1]:
            other.over = True
        self.clock.advance(1.0)
        self.assertEqual((self.seen, len(self.watches)), ([("0", 1.0)], 1))
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [100.0])
        others[-1].over = True
        self.clock.advance(99.0)
        self.assertEqual((len(self.seen), len(self.watches)), (1, 0))

    def test_again(self) -> None:
        """Who is looked at may want to be looked at again; one who fails keeps nobody else waiting."""

        class Again(One):
            def due(one, now: float) -> None:
                One.due(one, now)
                self.watches.add(now + 1.0, self.add("x", 50.0))
                raise ValueError("on purpose")

        self.watches.add(1.0, Again(self.seen, "again"))
        self.add("other", 1.0)
        self.clock.advance(1.0)
        self.assertEqual([name for name, _ in self.seen], ["again", "other"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.clock.advance(1.0)
        self.assertEqual(self.seen[-1], ("x", 2.0))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_stop(self) -> None:
        self.add("a", 1.0)
        self.watches.stop()
        self.watches.stop()
        self.clock.advance(5.0)
        self.assertEqual((self.seen, self.clock.getDelayedCalls()), ([], []))
