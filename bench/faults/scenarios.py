"""The faults, each with what is usual before and after, and how hard the crowd asks. A table, nothing else.

`BAD` is the instance that something happens to, where it is only one. Half of the faults are grey: the health endpoint
says OK all the time, so that only those who watch real traffic can know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.faults.behaviour import Behaviour

INSTANCES = 5
BAD = 2

USUAL = Behaviour()
"""Service times of 7 ms, exponential, as many at once as come."""

RATE = 200.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`usual` is how all behave before and after the fault, but those in `before`; `during` who behaves differently in
    it. `rates` are requests a second before, during and after. `bad` are the instances whose share counts. An answer
    that took longer than `slow` seconds counts as slow; a client waits for `patience` seconds. There are `settle`
    seconds of usual traffic before the fault, which lasts `stretch` times as long as most do.
    """

    name: str
    title: str
    during: Mapping[int, Behaviour] = field(default_factory=dict)
    usual: Behaviour = USUAL
    before: Mapping[int, Behaviour] = field(default_factory=dict)
    rates: tuple[float, float, float] = (RATE, RATE, RATE)
    bad: tuple[int, ...] = (BAD,)
    slow: float = 0.1
    patience: float = 3.0
    settle: float = 3.0
    stretch: float = 1.0


def one(**changes: object) -> Mapping[int, Behaviour]:
    """The bad one differs from the usual in this."""
    return {BAD: replace(USUAL, **changes)}  # type: ignore[arg-type]


def every(behaviour: Behaviour) -> Mapping[int, Behaviour]:
    return dict.fromkeys(range(INSTANCES), behaviour)


WORKERS = Behaviour(mean=0.04, workers=2)
"""50 requests a second, and not one more."""

_ALL = (
    Scenario(
        "uneven",
        "No fault; 1 request in 20 takes 21 times as long; four at a time, two thirds of what they bear",
        every(Behaviour(mean=0.02, service="bimodal", workers=4)),
        usual=Behaviour(mean=0.02, service="bimodal", workers=4),
        rates=(400.0, 660.0, 400.0),
        bad=(),
        slow=0.4,
    ),
    Scenario("errors", "One answers 500 at once; its health endpoint says OK", one(fault="error")),
    Scenario("slow", "One is 20 times slower; its health endpoint says OK", one(fault="slow")),
    Scenario("refuse", "One is killed: connections are cut, new ones refused", one(fault="refuse")),
    Scenario("hang", "One accepts and never answers, health checks neither", one(fault="hang", health="follows")),
    Scenario("hang-grey", "One never answers requests; its health endpoint says OK", one(fault="hang")),
    Scenario("reset", "One resets in the middle of each answer; its health endpoint says OK", one(fault="reset")),
    Scenario(
        "flapping",
        "One answers 500 for 3 s, is well for 3 s, and so on; its health endpoint says the same",
        one(fault="error", health="follows", flap=3.0),
        stretch=2.0,
    ),
    Scenario(
        "cold",
        "One joins, and is 20 times slower at first, less and less for 4 s",
        one(cold=4.0),
        before=one(fault="refuse"),
        # Or it would be no newcomer: proxies that have just started take all instances to be equally new.
        settle=8.0,
    ),
    Scenario(
        "checks-fail",
        "All health endpoints say 503; requests are served well",
        every(replace(USUAL, health="fails")),
        bad=(),
    ),
    Scenario(
        "overload",
        "Half more is asked than all can do (50 requests/s each, two at a time), by clients who wait for 1 s",
        usual=WORKERS,
        rates=(150.0, 375.0, 150.0),
        bad=(),
        slow=1.0,
        patience=1.0,
    ),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
