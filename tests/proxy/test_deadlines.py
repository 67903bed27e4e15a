"""Tests of wmesh.proxy.deadlines, under a fake clock."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from wmesh.proxy.deadlines import Deadlines


class Waiting:
    """Notes when it was asked; `do` is what it does then."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.do = lambda: None

    def sweep(self, now: float) -> None:
        self.asked.append(now)
        self.do()


class SweepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, lambda: 1000.0 + self.clock.seconds())

    def watch(self, *several: Waiting) -> None:
        for swept in several:
            self.deadlines.watch(swept, 60.0)

    def test_every_half_second(self) -> None:
        """Who waits is asked twice a second, with the monotonic time."""
        waiting = Waiting()
        self.deadlines.watch(waiting, 60.0)
        self.deadlines.start()
        self.clock.pump([0.5] * 4)
        self.assertEqual(waiting.asked, [1000.0, 1000.5, 1001.0, 1001.5, 1002.0])

    def test_who_has_left_is_not_asked(self) -> None:
        """Waiting ends when the one who waits says so, even in the middle of a sweep."""
        one, two = Waiting(), Waiting()
        one.do = two.do = lambda: self.deadlines.clear()
        self.watch(one, two)
        self.deadlines.start()
        self.clock.advance(5)
        self.assertLessEqual(len(one.asked) + len(two.asked), 2)

    def test_who_comes_in_the_middle(self) -> None:
        """A sweep may give rise to new waits (a retry connects anew)."""
        one, two = Waiting(), Waiting()
        one.do = lambda: self.deadlines.watch(two, 60.0)
        self.deadlines.watch(one, 60.0)
        self.deadlines.start()
        self.assertEqual(two.asked, [])
        self.clock.advance(0.5)
        self.assertEqual(len(two.asked), 1)

    def test_short_waits(self) -> None:
        """Who may wait less than five seconds is asked twenty times a second; who has time is not, for its sake."""
        short, long = Waiting(), Waiting()
        self.deadlines.watch(short, 4.9)
        self.deadlines.watch(long, 5.0)
        self.deadlines.start()
        self.clock.pump([0.05] * 20)
        self.assertEqual(len(short.asked), 21)
        self.assertEqual(len(long.asked), 3)
        self.assertEqual(self.deadlines.watched(), {short, long})
        self.deadlines.forget(short)
        self.deadlines.forget(long)
        self.clock.advance(1.0)
        self.assertEqual((len(short.asked), len(long.asked)), (21, 3))

    def test_one_error_stops_nobody_else(self) -> None:
        """A bug in one place must not lift the deadlines of all others, now or later."""
        good, bad = Waiting(), Waiting()

        def fail() -> None:
            raise RuntimeError("a bug")

        bad.do = fail
        self.watch(good, bad)
        self.deadlines.start()
        self.clock.advance(0.5)
        self.assertEqual((len(good.asked), len(bad.asked)), (2, 2))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_stop(self) -> None:
        """After `stop` nobody is asked, and nothing is left on the clock; stopping twice is no error."""
        waiting = Waiting()
        self.deadlines.watch(waiting, 60.0)
        self.deadlines.start()
        self.deadlines.stop()
        self.deadlines.stop()
        self.clock.advance(5)
        self.assertEqual(len(waiting.asked), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_date(self) -> None:
        """The text of the Date field is there from the start, in the form of RFC 9110 section 5.6.7."""
        self.deadlines.start()
        self.assertRegex(self.deadlines.date.decode(), r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$")
