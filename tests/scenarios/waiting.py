"""Waiting for what can be seen, with a deadline and a sentence that says what was waited for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import iscoroutine
from typing import Any, TypeVar

from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

T = TypeVar("T")

STEP = 0.02
PATIENCE = 10.0

clock: Any = reactor


async def until(what: str, look: Callable[[], T | Coroutine[Any, Any, T]], seconds: float = PATIENCE) -> T:
    """Look again and again until there is something true to see, and answer it."""
    last = clock.seconds() + seconds
    while True:
        seen: Any = look()
        if iscoroutine(seen):
            seen = await within(what, Deferred.fromCoroutine(seen), max(1.0, last - clock.seconds()))
        if seen:
            return seen
        if clock.seconds() > last:
            raise AssertionError(f"{seconds:g} s have passed, and still not: {what} (seen last: {seen!r})")
        await pause(STEP)


async def within(what: str, work: Deferred[T], seconds: float = PATIENCE) -> T:
    """The result of `work`, which is cancelled when it takes too long."""
    try:
        return await work.addTimeout(seconds, clock)
    except defer.TimeoutError:
        raise AssertionError(f"{seconds:g} s have passed, and still not: {what}") from None


async def steady(what: str, value: Callable[[], object], still: float = 0.3, seconds: float = PATIENCE) -> None:
    """Wait until `value()` has not changed for `still` seconds."""
    last, since, end = value(), clock.seconds(), clock.seconds() + seconds
    while clock.seconds() - since < still:
        await pause(STEP)
        now = value()
        if now != last:
            last, since = now, clock.seconds()
        if clock.seconds() > end:
            raise AssertionError(f"{what} still changes after {seconds:g} s: {now!r}")


def pause(seconds: float) -> Deferred[None]:
    """For pacing; never in the hope that something will have happened by then."""
    return deferLater(clock, seconds)


def soon(work: Any) -> Deferred[Any]:
    """Begin it now, look at it later."""
    return Deferred.fromCoroutine(work)
