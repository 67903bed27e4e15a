"""Tests of wmesh.events."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from wmesh import events
from wmesh.events import Event, InstanceRemoved


class EventTests(SynchronousTestCase):
    def test_every_event_belongs_to_the_union(self) -> None:
        """What can happen is one closed list: whoever matches over it is told by the type checker what is missing."""
        declared = {
            thing for thing in vars(events).values() if isinstance(thing, type) and thing.__module__ == events.__name__
        }
        self.assertEqual(set(get_args(Event)), declared)

    def test_events_are_facts(self) -> None:
        """They are frozen, equal when they say the same, and can be kept in sets."""
        for kind in get_args(Event):
            self.assertTrue(kind.__dataclass_params__.frozen, kind)
        self.assertEqual(len({InstanceRemoved("a", "1", "gone"), InstanceRemoved("a", "1", "gone")}), 1)

    def test_each_tells_which_instance_or_which_records(self) -> None:
        """A sink can always find what an event is about."""
        for kind in get_args(Event):
            names = kind.__match_args__
            self.assertTrue({"service", "id"} <= set(names) or {"record", "records", "wills"} & set(names), kind)
