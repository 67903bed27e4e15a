"""`pick` of every strategy over fleets of several sizes: on a first attempt, and on a retry that avoids one member.

Every hundredth key is another one of a thousand, so that strategies that remember keys are timed as a busy day times
them; `new key` is a key that was never seen, and `busy` a fleet that makes bounds and orders work: the first half of it
has all that it can take. `rebuild` is what a change of the fleet costs at the next request: of one member of it, and of
all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, cycle, repeat

from bench.micro.fleet import SIZES, cluster
from bench.micro.timing import Timing
from wmesh.balance import STRATEGIES

KEYED = ("ip_hash", "consistent_hash")
BUSY = ("least_connections", "consistent_hash", "first")
LARGE = 10_000


def timings() -> Iterator[Timing]:
    for name in STRATEGIES:
        for size in SIZES:
            fleet = cluster(size, name)
            keys = cycle(chain.from_iterable(repeat(b"10.0.%d.1" % number, 100) for number in range(1000)))
            names = {"pick": fleet.whole.strategy.pick, "tried": tuple(fleet.members.values())[:1], "keys": keys}
            yield Timing(f"{name}, {size} members", "pick(next(keys), (), 1.0)", names)
            yield Timing(f"{name}, {size} members, retry", "pick(next(keys), tried, 1.0)", names)
            if name in KEYED:
                names["keys"] = map(b"10.%d".__mod__, count())
                yield Timing(f"{name}, {size} members, new key", "pick(next(keys), (), 1.0)", names)
            if name in BUSY:
                fleet = cluster(size, name)
                for member in list(fleet.members.values())[: size // 2]:
                    member.in_flight = fleet.spec.capacity
                names = {"pick": fleet.whole.strategy.pick}
                yield Timing(f"{name}, {size} members, busy", "pick(b'10.0.0.1', (), 1.0)", names)
    for name in STRATEGIES:
        fleet = cluster(LARGE, name)
        everybody = sorted(fleet.members.values(), key=lambda member: member.record.id)
        names = {"rebuild": fleet.whole.strategy.rebuild, "all": everybody, "most": everybody[1:], "none": ()}
        # Two rebuilds each: one that is timed for what it says, and one that brings back what was there before.
        yield Timing(f"{name}, rebuild: one of {LARGE} leaves and comes", "rebuild(most); rebuild(all)", names)
        yield Timing(f"{name}, rebuild: all {LARGE} leave and come", "rebuild(none); rebuild(all)", names)
