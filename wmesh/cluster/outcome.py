"""How an attempt ended, and what is said when there is none: the two answers that a cluster deals in."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.IntEnum):
    """How one attempt ended, as far as its instance is to blame. Higher than OK and below CANCELLED: a failure."""

    OK = 0
    CONNECT_FAILED = 1
    RESET = 2
    TIMEOUT = 3
    INVALID = 4
    SERVER_ERROR = 5
    CANCELLED = 6
    """The client left or the gateway gave up for reasons of its own: no evidence against the instance."""


# WHY: reading a member of an enumeration through its class costs four times what a name of the module does.
OK = Outcome.OK
CANCELLED = Outcome.CANCELLED


@dataclass(frozen=True, slots=True)
class Refusal:
    """No ticket. `reason` is a word for programs, `detail` a sentence, `retry_after` seconds worth waiting.

    `passing`: it is likely to pass by itself soon, so that the request may wait in the queue.
    """

    reason: str
    detail: str
    retry_after: int = 1
    passing: bool = False
