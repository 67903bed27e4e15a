"""From one state of an instance to the next, as events."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.control.registry.scene import a_record
from wmesh.control.registry.changes import REPLACED, as_registered, put_events
from wmesh.events import InstanceAdded, InstanceRemoved, InstanceUpdated
from wmesh.model import Address


class PutTests(SynchronousTestCase):
    def test_news(self) -> None:
        """Nobody was known by this id; or this very record was."""
        self.assertEqual(put_events(None, a_record()), (InstanceAdded(a_record()),))
        self.assertEqual(put_events(a_record(), a_record()), ())

    def test_a_change_of_one_life(self) -> None:
        """What may change while an instance lives: all but who it is and where."""
        for change in ({"weight": 9}, {"version": "2"}, {"tags": ()}, {"metadata": (("zone", "b"),)}):
            new = a_record(**change)
            self.assertEqual(put_events(a_record(), new), (InstanceUpdated(new),), change)

    def test_another_life(self) -> None:
        """Another incarnation or another address is another instance: first the old one leaves."""
        for change in (
            {"incarnation": "second"},
            {"address": Address("127.0.0.1", 3008)},
            {"address": Address("10.0.0.1", 3007)},
        ):
            new = a_record(weight=9, **change)
            removed = InstanceRemoved("pricing", "pricing-1", REPLACED)
            self.assertEqual(put_events(a_record(), new), (removed, InstanceAdded(new)), change)


class OriginTests(SynchronousTestCase):
    def test_as_registered(self) -> None:
        """Whoever put a record there, its readers see the same."""
        launched = replace(a_record(), origin="launched")
        self.assertEqual(as_registered(launched), a_record())
        self.assertEqual(as_registered(launched).origin, "registry")
        same = a_record()
        self.assertIs(as_registered(same), same)
