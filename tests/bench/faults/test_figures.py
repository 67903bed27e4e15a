"""Figures of a play that is made up, so that every number is known beforehand."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import TestCase

from bench.faults.behaviour import Behaviour
from bench.faults.crowd import Request
from bench.faults.figures import figures, quantile
from bench.faults.play import Play
from bench.faults.scenarios import BAD, Scenario

SCENARIO = Scenario("made-up", "", {BAD: Behaviour(fault="error")})


def made_up(requests: list[Request], arrivals: list[tuple[float, int]] | None = None) -> Play:
    """The fault is there from 2 to 8, and all is over at 14."""
    return Play(SCENARIO, 2.0, 8.0, 14.0, tuple(requests), tuple(arrivals or ()), 0.002)


def good(due: float, latency: float = 0.01) -> Request:
    return Request(due, latency, "ok", "i1")


def bad(due: float, outcome: str = "500") -> Request:
    return Request(due, 0.001, outcome, "i2")


def spread(start: float, end: float, share: int) -> list[tuple[float, int]]:
    """A hundred arrivals a second, so many of them at the bad one."""
    return [(start + tick / 100, BAD if tick % 100 % 10 < share else 0) for tick in range(round((end - start) * 100))]


class Clients(TestCase):
    def test_counts_from_the_beginning_of_the_fault(self) -> None:
        found = figures(made_up([bad(1.0), good(2.0), bad(3.0), bad(4.0, "cut"), bad(5.0), good(9.0, 0.2)]))
        self.assertEqual((found.asked, found.failures, found.failed, found.slow), (5, 3, {"500": 2, "cut": 1}, 1))

    def test_how_long(self) -> None:
        found = figures(made_up([good(2.0), bad(3.5), good(7.0, 0.2), good(7.5), bad(9.0), good(13.0)]))
        self.assertEqual((found.troubled, found.aftermath), (5.0, 1.0))
        found = figures(made_up([good(2.0), good(9.0)]))
        self.assertEqual((found.troubled, found.aftermath), (0.0, 0.0))
        found = figures(made_up([good(2.0), bad(9.0)]))
        self.assertEqual((found.troubled, found.aftermath), (0.0, 1.0))

    def test_latencies_are_those_of_the_fault(self) -> None:
        requests = [good(1.0, 9.0), *(good(2.0 + n / 100, n / 1000) for n in range(100)), good(9.0, 9.0)]
        found = figures(made_up(requests))
        self.assertAlmostEqual(found.p50, 50.0)
        self.assertAlmostEqual(found.p99, 99.0)

    def test_quantile(self) -> None:
        self.assertEqual([quantile([1.0, 2.0, 3.0, 4.0], part) for part in (0.0, 0.5, 0.99, 1.0)], [1.0, 3.0, 4.0, 4.0])
        self.assertEqual(quantile([], 0.5), 0.0)


class Shares(TestCase):
    def test_of_the_fault_alone(self) -> None:
        arrivals = spread(0.0, 2.0, 2) + spread(2.0, 8.0, 1) + spread(8.0, 14.0, 2)
        self.assertAlmostEqual(figures(made_up([], arrivals)).share or 0.0, 0.1)

    def test_unknown_where_connections_are_refused(self) -> None:
        scenario = replace(SCENARIO, during={BAD: Behaviour(fault="refuse")})
        self.assertIsNone(figures(replace(made_up([], spread(2.0, 8.0, 1)), scenario=scenario)).share)

    def test_back(self) -> None:
        for since, expected in ((8.0, 0.0), (10.0, 1.8)):
            arrivals = spread(8.0, since, 0) + spread(since, 14.0, 2)
            self.assertAlmostEqual(figures(made_up([], arrivals)).back or 0.0, expected, places=6)

    def test_not_back(self) -> None:
        self.assertIsNone(figures(made_up([], spread(8.0, 14.0, 1))).back)

    def test_nobody_is_bad(self) -> None:
        play = replace(made_up([], spread(2.0, 14.0, 2)), scenario=replace(SCENARIO, bad=()))
        found = figures(play)
        self.assertEqual((found.share, found.back, found.fair), (None, 0.0, 0.0))
