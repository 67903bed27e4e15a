"""`pick` of every strategy over fleets of several sizes, on a first attempt and on a retry that avoids one member."""

from __future__ import annotations

from collections.abc import Iterator

from bench.micro.fleet import SIZES, cluster
from bench.micro.timing import Timing
from wmesh.balance import STRATEGIES


def timings() -> Iterator[Timing]:
    for name in STRATEGIES:
        for size in SIZES:
            fleet = cluster(size, name)
            names = {"pick": fleet.whole.strategy.pick, "tried": tuple(fleet.members.values())[:1]}
            yield Timing(f"{name}, {size} members", "pick(b'10.0.0.1', (), 1.0)", names)
            yield Timing(f"{name}, {size} members, retry", "pick(b'10.0.0.1', tried, 1.0)", names)
