"""Whether leases that vanished mean instances that died, or a registry that lost its memory.

A lease that ends is believed: the instance crashed, and it is evicted at once. Many that end together are not believed:
instances rarely die together, while a registry that was emptied, restarted or cut off makes all of them vanish. Then
evictions *freeze*: who vanishes is held (he stays, as a suspect), and active checks decide. Strategy: every lease is in
one of four states, and each input moves it:

```
            appeared                    vanished, believed
  unknown ───────────► live ───────────────────────────────► evicted ──► unknown (one window later)
                        ▲ │ vanished, not believed              │
               appeared │ ▼                                     │ a freeze begins
                       held ◄───────────────────────────────────┘
                        │ its checks fail, or `hold` is over
                        └──────────────► unknown (evicted for good)

  left (deregistered, or known to have ended): from any state to unknown, at once; it never counts
```
Counted are leases that vanished within one window (one lease: so long it takes until everybody's lease has ended whose
holders were cut off at the same moment), as a share of those and the ones still there:

- A service freezes when more than `service` of its leases vanish, and at least two do, or the last one does.
- The registry freezes when more than `registry` of all leases vanish, and at least three do.

So small fleets: 1 of 1 is held (only a failing check proves that the last instance is dead); 1 of 2 and 1 of 3 are
evicted at once, since one lease is a crash and no catastrophe; 2 of 2 and 2 of 3 freeze. When a freeze begins, those
whom it comes too late for (evicted within the window) are taken back as suspects: they serve again when a check passes.

A freeze ends when nobody is held any more. Who is held leaves that state by coming back, by failing his checks, or
after `hold` seconds; of a service without checks after one window at most, for there nothing else can ever decide. The
clock of `hold` stands still while the registry is away (`extend`): nobody could come back then.

Pure: keys, counts and times. What a member is, and how it is marked, is `wmesh.control.registry.preserver`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

Key = tuple[str, str]
"""(service, id)."""

REGISTRY = ""
"""The scope of a freeze that holds for all services; the scope of any other is the service's name."""

FEW = 3
"""So many leases must vanish before the whole registry is doubted, however small it is."""


@dataclass(frozen=True, slots=True)
class PreservationSpec:
    """`service` and `registry` are shares (0 to 1; 1 never freezes), `hold` and `window` seconds; `hold` 0: off.

    `unchecked` names the services whose instances are not checked.
    """

    service: float = 0.5
    registry: float = 0.15
    hold: float = 300.0
    window: float = 15.0
    unchecked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of leases that vanished. `restore` were evicted earlier in this window, and should not have been."""

    evict: tuple[Key, ...] = ()
    hold: tuple[Key, ...] = ()
    restore: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class FreezeBegan:
    """`lost` of `total` leases of `scope` vanished within one window."""

    scope: str
    lost: int
    total: int


@dataclass(frozen=True, slots=True)
class FreezeEnded:
    """Of those who were held for `seconds` at most, so many came back, failed their checks, or were given up."""

    scope: str
    seconds: float
    back: int
    failed: int
    late: int


class _Freeze:
    __slots__ = ("back", "failed", "late", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.back = 0
        self.failed = 0
        self.late = 0


class Preservation:
    """The state of all leases that one reader knows. `now` is monotonic seconds and never goes back."""

    def __init__(self, spec: PreservationSpec) -> None:
        self._spec = spec
        self._live: set[Key] = set()
        # When they were evicted, oldest first; and until when they are held.
        self._evicted: dict[Key, float] = {}
        self._held: dict[Key, float] = {}
        self._live_of: Counter[str] = Counter()
        self._evicted_of: Counter[str] = Counter()
        self._held_of: Counter[str] = Counter()
        self._freezes: dict[str, _Freeze] = {}
        self._news: list[FreezeBegan | FreezeEnded] = []

    # --- what there is to see

    @property
    def live(self) -> Set[Key]:
        return self._live

    @property
    def held(self) -> Mapping[Key, float]:
        """Who is held, and until when at most."""
        return self._held

    def frozen(self) -> dict[str, float]:
        """The scopes that are frozen now, and since when."""
        return {scope: freeze.since for scope, freeze in self._freezes.items()}

    def restorable(self, key: Key) -> bool:
        """Whether `key` was evicted so recently that a freeze would take it back."""
        return key in self._evicted

    def news(self) -> list[FreezeBegan | FreezeEnded]:
        """Freezes that began and ended since this was asked last."""
        news, self._news = self._news, []
        return news

    # --- what happens

    def appeared(self, key: Key, now: float) -> bool:
        """Its lease is there. True if it was held."""
        if key in self._live:
            return False
        self._forget_evicted(key)
        held = self._release(key)
        self._live.add(key)
        self._live_of[key[0]] += 1
        if held:
            for freeze in self._over(key):
                freeze.back += 1
            self._settle(key[0], now)
        return held

    def left(self, key: Key, now: float) -> None:
        """It went, for a reason that is believed whatever happens to the others."""
        self._forget_evicted(key)
        if key in self._live:
            self._live.remove(key)
            self._live_of[key[0]] -= 1
        elif self._release(key):
            self._settle(key[0], now)

    def vanished(self, keys: Iterable[Key], now: float) -> Verdict:
        """These leases are gone, all at this moment. Keys that are not live are passed over."""
        self._purge(now)
        gone = [key for key in dict.fromkeys(keys) if key in self._live]
        for key in gone:
            self._live.remove(key)
            self._live_of[key[0]] -= 1
            self._evicted[key] = now
            self._evicted_of[key[0]] += 1
        if self._spec.hold <= 0:
            return Verdict(evict=tuple(gone))
        self._doubt(dict.fromkeys(key[0] for key in gone), now)
        hold = [key for key in gone if self._is_frozen(key[0])]
        fresh = set(gone)
        restore = [key for key in self._evicted if key not in fresh and self._is_frozen(key[0])]
        for key in (*hold, *restore):
            self._forget_evicted(key)
            self._held[key] = now + self._patience(key[0])
            self._held_of[key[0]] += 1
        return Verdict(tuple(key for key in gone if key not in self._held), tuple(hold), tuple(restore))

    def failed(self, key: Key, now: float) -> bool:
        """Its checks fail. True if it was held: lease and checks agree, so it is evicted."""
        if not self._release(key):
            return False
        for freeze in self._over(key):
            freeze.failed += 1
        self._settle(key[0], now)
        return True

    def overdue(self, now: float) -> tuple[Key, ...]:
        """Whom time has confirmed: they are held no longer, and evicted."""
        late = tuple(key for key, until in self._held.items() if until <= now)
        for key in late:
            self._release(key)
            for freeze in self._over(key):
                freeze.late += 1
        for service in dict.fromkeys(key[0] for key in late):
            self._settle(service, now)
        self._purge(now)
        return late

    def extend(self, seconds: float) -> None:
        """For so long nobody could have come back: it does not count."""
        for key in self._held:
            self._held[key] += seconds

    # --- how it is judged

    def _doubt(self, services: Iterable[str], now: float) -> None:
        """Begin the freezes that what has vanished by now calls for. One of the registry makes others needless."""
        spec = self._spec
        lost = len(self._evicted) + len(self._held)
        total = lost + len(self._live)
        if REGISTRY not in self._freezes and lost >= FEW and lost > spec.registry * total:
            self._begin(REGISTRY, lost, total, now)
        if REGISTRY in self._freezes:
            return
        for service in services:
            lost = self._evicted_of[service] + self._held_of[service]
            left = self._live_of[service]
            enough = lost >= 2 or left == 0
            if service not in self._freezes and enough and lost > spec.service * (lost + left):
                self._begin(service, lost, lost + left, now)

    def _begin(self, scope: str, lost: int, total: int, now: float) -> None:
        self._freezes[scope] = _Freeze(now)
        self._news.append(FreezeBegan(scope, lost, total))

    def _settle(self, service: str, now: float) -> None:
        """End the freezes in which nobody is held any more."""
        for scope, held in ((service, self._held_of[service]), (REGISTRY, len(self._held))):
            freeze = None if held else self._freezes.pop(scope, None)
            if freeze is not None:
                self._news.append(FreezeEnded(scope, now - freeze.since, freeze.back, freeze.failed, freeze.late))

    def _is_frozen(self, service: str) -> bool:
        return REGISTRY in self._freezes or service in self._freezes

    def _over(self, key: Key) -> list[_Freeze]:
        """The freezes that `key` is part of."""
        return [self._freezes[scope] for scope in (REGISTRY, key[0]) if scope in self._freezes]

    def _patience(self, service: str) -> float:
        spec = self._spec
        return min(spec.hold, spec.window) if service in spec.unchecked else spec.hold

    def _release(self, key: Key) -> bool:
        if self._held.pop(key, None) is None:
            return False
        self._held_of[key[0]] -= 1
        return True

    def _forget_evicted(self, key: Key) -> None:
        if self._evicted.pop(key, None) is not None:
            self._evicted_of[key[0]] -= 1

    def _purge(self, now: float) -> None:
        """Forget evictions that are older than a window."""
        while self._evicted:
            key, at = next(iter(self._evicted.items()))
            if now - at <= self._spec.window:
                return
            self._forget_evicted(key)
