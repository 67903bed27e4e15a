"""What a request pays for a ticket and its return, and what a change of the fleet costs.

`acquire and release` is once per attempt. The others are rare: `refresh` when a verdict changes, `reset` when a whole
snapshot comes from the registry and says nothing new, `refusal` when nobody may take the request.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.micro.fleet import SIZES, cluster, directory, records
from bench.micro.timing import Timing
from wmesh.cluster.outcome import Outcome
from wmesh.events import InstancesReset

RARE_SIZES = (3, 1000)


def timings() -> Iterator[Timing]:
    for name in ("round_robin", "least_connections"):
        for size in SIZES:
            names = {"acquire": cluster(size, name).whole.acquire, "ok": Outcome.OK}
            statement = "acquire(b'10.0.0.1', (), 1.0).release(ok, 1.01)"
            yield Timing(f"acquire and release, {name}, {size} members", statement, names)
    names = {"acquire": cluster(3, "round_robin", patient=True).whole.acquire, "failed": Outcome.RESET}
    statement = "acquire(b'10.0.0.1', (), 1.0).release(failed, 1.01)"
    yield Timing("acquire and release of a failure, round_robin, 3 members", statement, names)
    for size in RARE_SIZES:
        fleet = cluster(size, "round_robin")
        member = next(iter(fleet.members.values()))
        yield Timing(f"refresh, round_robin, {size} members", "refresh(1.0)", {"refresh": fleet.refresh})
        yield Timing(f"refusal, {size} members", "refusal(1.0)", {"refusal": fleet.whole.nobody})
        yield Timing(f"reasons of one of {size} members", "reasons(1.0)", {"reasons": member.reasons})
        names = {"apply": directory(size, "round_robin").apply, "event": InstancesReset("registry", records(size))}
        yield Timing(f"reset that changes nothing, {size} members", "apply(event)", names)
