"""Tests of wmesh.control.news: one line a change, in words, at the right level."""

from __future__ import annotations

from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_record
from wmesh.control.news import log_evidence
from wmesh.events import BreakerChanged, EjectionChanged, Event, HealthChanged, InstanceAdded
from wmesh.model import Health


class NewsTests(SynchronousTestCase):
    def told(self, event: Event) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []

        def note(entry: LogEvent) -> None:
            level: LogLevel = entry["log_level"]
            found.append((level.name, formatEvent(entry)))

        globalLogPublisher.addObserver(note)
        try:
            log_evidence(event)
        finally:
            globalLogPublisher.removeObserver(note)
        return found

    def test_every_change(self) -> None:
        """Who is taken out is a warning, who is back is news."""
        table: list[tuple[Event, list[tuple[str, str]]]] = [
            (
                HealthChanged("shop", "a", Health.HEALTHY, Health.UNHEALTHY, "status 500"),
                [("warn", "shop: a is taken out: status 500")],
            ),
            (
                HealthChanged("shop", "a", Health.UNHEALTHY, Health.HEALTHY, "status 200"),
                [("info", "shop: a is healthy again")],
            ),
            (HealthChanged("shop", "a", Health.UNKNOWN, Health.HEALTHY, "status 200"), []),
            (
                BreakerChanged("shop", "a", "closed", "open", "5 of 5 calls failed"),
                [("warn", "shop: a: circuit breaker open: 5 of 5 calls failed")],
            ),
            (
                BreakerChanged("shop", "", "open", "half_open", "it may be tried again"),
                [("info", "shop: circuit breaker half open: it may be tried again")],
            ),
            (
                EjectionChanged("shop", "a", 10.0, "5 failures in a row"),
                [("warn", "shop: a is left alone for 10 s: 5 failures in a row")],
            ),
            (
                EjectionChanged("shop", "a", 0.0, "its time is over"),
                [("info", "shop: a may take requests again: its time is over")],
            ),
            (InstanceAdded(a_record()), []),
        ]
        for event, lines in table:
            self.assertEqual(self.told(event), lines, event)
