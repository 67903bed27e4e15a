"""Waiting in tests of units for what a real reactor, or a process, is about to bring: looking often, with a limit.

Scenarios have a patience of their own, and say what they wait for: `scenarios/waiting.py`. What a clock in the test's
hand can bring about is not waited for at all.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import deferLater

PATIENCE = 10.0


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until something is true, looking often; fail if it takes too long."""
    from twisted.internet import reactor

    limit = reactor.seconds() + PATIENCE
    while not condition():
        if reactor.seconds() > limit:
            raise AssertionError(f"waited {PATIENCE:g} s in vain for {what}")
        await deferLater(reactor, 0.005)
