"""Of two words the later one counts, whoever hears them in which order."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import AdminState, Said, Will
from wmesh.policy.wills import FRESH, HOLD, LATEST, asks, kept, merged, same, says_nothing, stamp

DRAIN, READY = AdminState.DRAIN, AdminState.READY
NOTHING = Will("a", "1")


def a_will(state: AdminState | None = None, since: int = 100, weight: int = 0, until: int = 1000) -> Will:
    return Will(
        "a",
        "1",
        until,
        None if state is None else Said(state, since, "me"),
        Said(weight, since, "me") if weight else None,
    )


class MergedTests(SynchronousTestCase):
    def test_the_later_one_stands(self) -> None:
        """In whichever order they are met."""
        old, new = a_will(DRAIN, 100), a_will(READY, 101)
        self.assertEqual(merged(old, new), new)
        self.assertEqual(merged(new, old), new)
        self.assertEqual(merged(None, old), old)

    def test_each_aspect_on_its_own(self) -> None:
        """A weight that is said later takes nothing from the state, nor the other way round."""
        both = merged(a_will(DRAIN, 100), a_will(weight=5, since=200))
        self.assertEqual((both.state, both.weight), (Said(DRAIN, 100, "me"), Said(5, 200, "me")))
        self.assertEqual(merged(both, a_will(READY, 150)).weight, Said(5, 200, "me"))

    def test_the_same_moment(self) -> None:
        """Who was there first stands, so that all gateways end at what the registry took first."""
        first, second = a_will(DRAIN, 100), a_will(READY, 100)
        self.assertEqual(merged(first, second), first)
        self.assertEqual(merged(second, first), second)

    def test_kept_for_the_longer_time(self) -> None:
        """And that alone is no other will."""
        longer = merged(a_will(DRAIN, until=5), a_will(DRAIN, until=9))
        self.assertEqual(longer.until, 9)
        self.assertTrue(same(longer, a_will(DRAIN, until=5)))
        self.assertFalse(same(longer, a_will(READY, until=9)))


class MeaningTests(SynchronousTestCase):
    def test_asks(self) -> None:
        """Ready, and the registered weight, are what an instance has anyway."""
        self.assertTrue(asks(a_will(DRAIN)))
        self.assertTrue(asks(a_will(READY, weight=3)))
        self.assertFalse(asks(a_will(READY)))
        self.assertFalse(asks(replace(NOTHING, weight=Said(None, 5))))
        self.assertFalse(asks(NOTHING))
        self.assertTrue(says_nothing(NOTHING))
        self.assertFalse(says_nothing(a_will(READY)))

    def test_stamps_grow(self) -> None:
        """Whoever contradicts what he knows is heard, though his clock is late; and what is written can be read."""
        self.assertEqual(stamp(None, 500), 500)
        self.assertEqual(stamp(Said(1, 400), 500), 500)
        self.assertEqual(stamp(Said(1, 900), 500), 901)
        self.assertEqual(stamp(None, -5), 1)
        self.assertEqual(stamp(Said(1, LATEST), 500), LATEST)

    def test_kept(self) -> None:
        """Only who wants something, and only if it was not said lately."""
        now = 10**12
        old, fresh, ready = a_will(DRAIN), a_will(DRAIN, until=now + FRESH), a_will(READY)
        self.assertEqual(kept([old, fresh, ready], now), [replace(old, until=now + HOLD)])
