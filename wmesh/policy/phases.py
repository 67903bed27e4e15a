"""How far the start of one service has come, as a table.

```
             dependencies are healthy            enough instances are healthy
WAITING ───────────────────────────► STARTING ───────────────────────────────► UP
   │ a dependency is late    ▲          │ start_timeout                          ▲
   ▼ or blocked itself       │          ▼                                        │
BLOCKED ─────────────────────┘         LATE ─────────────────────────────────────┘
      dependencies are healthy               enough instances are healthy

every one of them ── stop ──► STOPPED
```
Nothing is given up: BLOCKED and LATE are things to tell people, and both are left by good news. UP is not left by bad
news: that a running service is sick is a matter of health, not of its start.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Phase(enum.IntEnum):
    WAITING = 0
    BLOCKED = 1
    STARTING = 2
    LATE = 3
    UP = 4
    STOPPED = 5


class Signal(enum.IntEnum):
    DEPENDENCIES_HEALTHY = 0
    DEPENDENCY_LATE = 1
    ENOUGH_HEALTHY = 2
    TIMED_OUT = 3
    STOP = 4


_MOVES: Mapping[tuple[Phase, Signal], Phase] = {
    (Phase.WAITING, Signal.DEPENDENCIES_HEALTHY): Phase.STARTING,
    (Phase.WAITING, Signal.DEPENDENCY_LATE): Phase.BLOCKED,
    (Phase.BLOCKED, Signal.DEPENDENCIES_HEALTHY): Phase.STARTING,
    (Phase.STARTING, Signal.ENOUGH_HEALTHY): Phase.UP,
    (Phase.STARTING, Signal.TIMED_OUT): Phase.LATE,
    (Phase.LATE, Signal.ENOUGH_HEALTHY): Phase.UP,
    **{(phase, Signal.STOP): Phase.STOPPED for phase in Phase},
}


def move(phase: Phase, signal: Signal) -> Phase:
    """The phase after this signal; signals that mean nothing in a phase change nothing."""
    return _MOVES.get((phase, signal), phase)
