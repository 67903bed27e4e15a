"""What operators said of instances: which of two words counts, and for how long it is remembered.

Several gateways take orders, and each may be out of touch with the others for a while. So every word carries when it
was said, and of two the later one counts, for state and weight each on its own. Who says something anew knows what he
contradicts: his word is later than that, whatever his clock says. "Ready" is a word like any other, or a gateway that
did not hear it would bring the old one back.

A will outlives its instance, so that one that is stopped while it is drained (to be repaired, or by a crash) comes back
drained. It is forgotten when for `HOLD` nobody had such an instance. A will that asks for nothing any more is kept for
as long, and not a moment longer, whoever is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from wmesh.model import AdminState, Said, Will

HOLD = 7 * 24 * 3600 * 1000
"""Milliseconds for which a will is remembered though nobody has such an instance."""

FRESH = HOLD - 3600 * 1000
"""With so much of it left, it need not be said again that somebody is there."""

LATEST = 10**14 - 1
"""The last millisecond that can be written (in Lua, too); it is far away."""

T = TypeVar("T")


def merged(old: Will | None, new: Will) -> Will:
    """What stands when `new` is said after `old` stood there. What was said in the same moment does not replace it."""
    if old is None:
        return new
    return replace(
        old,
        until=max(old.until, new.until),
        state=_later(old.state, new.state),
        weight=_later(old.weight, new.weight),
    )


def same(one: Will, other: Will) -> bool:
    """Whether both say the same, however long they are kept."""
    return one.state == other.state and one.weight == other.weight


def says_nothing(will: Will) -> bool:
    """It is forgotten."""
    return will.state is None and will.weight is None


def asks(will: Will) -> bool:
    """Whether an instance is to be anything but what it would be without it."""
    state, weight = will.state, will.weight
    return (state is not None and state.value is not AdminState.READY) or (
        weight is not None and weight.value is not None
    )


def stamp(said: Said[T] | None, now: int) -> int:
    """When somebody says something now, to whom `said` is known."""
    return min(LATEST, max(now, 1, said.since + 1 if said is not None else 0))


def kept(wills: Sequence[Will], now: int) -> list[Will]:
    """Those of instances that are there, as they should be written again, so that they stay."""
    return [replace(will, until=now + HOLD) for will in wills if asks(will) and will.until < now + FRESH]


def _later(old: Said[T] | None, new: Said[T] | None) -> Said[T] | None:
    if old is None or new is None:
        return old or new
    return new if new.since > old.since else old
