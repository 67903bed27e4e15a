"""Active health of one instance: a counter that flips a state after enough results in a row.

```
            ok                     fall failures in a row
UNKNOWN ─────────► HEALTHY ──────────────────────────────► UNHEALTHY
   │                  ▲                                        │
   │ fall failures    └────────── rise successes in a row ─────┘
   └──────────────────────────────────────────────────────────►
```
The first good result is believed at once, so that a new instance serves as soon as it can; after that, one lucky or
unlucky probe changes nothing (HAProxy's rise and fall). Any opposite result starts the count again. A failure that is
proof (somebody else answers at its address) needs no repetition: one takes it out.
"""

from __future__ import annotations

from wmesh.model import CheckSpec, Health


class ActiveHealth:
    """Health by active checks. `state` is the verdict, `streak` how many results in a row speak against it.

    `proven`: it was healthy once, and nothing has proved since that somebody else answers there.
    """

    __slots__ = ("fall", "proven", "reason", "rise", "since", "state", "streak")

    def __init__(self, spec: CheckSpec, now: float) -> None:
        self.fall = spec.fall
        self.rise = spec.rise
        # Without checks there is no evidence to wait for: the instance is eligible from its first second.
        self.state = Health.UNKNOWN if spec.enabled else Health.HEALTHY
        self.reason = "not checked yet" if spec.enabled else "checks are off"
        self.since = now
        self.streak = 0
        self.proven = not spec.enabled

    def observe(self, ok: bool, reason: str, now: float, proof: bool = False) -> bool:
        """Take one result; True when the state flipped. `reason` is kept while it explains the state."""
        self.proven = not proof and (ok or self.proven)
        if ok == (self.state is Health.HEALTHY) and self.state is not Health.UNKNOWN:
            self.streak = 0
            self.reason = reason
            return False
        self.streak += 1
        if self.streak < self.needed(ok) and not proof:
            if self.state is Health.UNKNOWN:
                self.reason = reason
            return False
        self.state = Health.HEALTHY if ok else Health.UNHEALTHY
        self.reason = reason
        self.since = now
        self.streak = 0
        return True

    def excuse(self, reason: str) -> None:
        """A failure that proves nothing, for the instance is still starting: kept as the reason, not counted."""
        self.reason = reason

    def needed(self, ok: bool) -> int:
        """How many results of this kind in a row flip the present state."""
        if ok:
            return 1 if self.state is Health.UNKNOWN else self.rise
        return self.fall

    @property
    def settled(self) -> bool:
        """False while the state is unknown or on its way to flip: then checks come faster."""
        return self.state is not Health.UNKNOWN and self.streak == 0
