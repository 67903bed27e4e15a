"""A search by a regular expression that cannot hold up the process, whatever expression and text are.

Python's expressions backtrack. `(a+)+$` is famous for it, but `.*x` needs more than a second for 64 KiB of one line,
too, and an answer comes from whoever listens. Nothing else runs meanwhile, threads neither. So a timer of the process
(ITIMER_VIRTUAL: it counts processor time, and a busy machine does not make it ring early) interrupts a search that has
taken too long: the expression engine looks for signals every few thousand steps. Measured with 64 KiB: exponential
expressions end after 25 ms, quadratic ones, whose steps are long, after 0.2 s (`.*x`, where it took 1.4 s) to 0.4 s.

An ordinary search of an ordinary answer takes a microsecond, of which the timer is half.

Signals reach the main thread only, so elsewhere the search is not bounded; the reactor of a gateway runs in the main
thread. Not used for it: other threads and processes (they would cost more than the check), and other libraries for
expressions (the options promise Python's syntax).
"""

from __future__ import annotations

import re
import signal
import threading
from types import FrameType

LIMIT = 0.02
"""Seconds of processor time that one search may take."""


class TooSlow(Exception):
    """The search was given up."""


_searching = False


def _rings(number: int, frame: FrameType | None) -> None:
    # It may ring when the search is over already; then it means nothing.
    if _searching:
        raise TooSlow


def found(expression: str, text: str) -> bool:
    """Whether `expression` is found in `text`. Fails with TooSlow, or with re.error if it is no expression."""
    global _searching
    compiled = re.compile(expression)
    if threading.current_thread() is not threading.main_thread():
        return compiled.search(text) is not None
    if signal.getsignal(signal.SIGVTALRM) is not _rings:
        signal.signal(signal.SIGVTALRM, _rings)
    try:
        _searching = True
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
        return compiled.search(text) is not None
    finally:
        _searching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
