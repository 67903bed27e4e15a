"""The figures of a run, what is promised of them, and the page that shows both."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.computer import Computer
from bench.report import NOISY, number, table

LEASE_SLACK = 1.0


@dataclass(slots=True)
class Series:
    """One thing measured again and again. `case` is the case's name, `what` names it in a table."""

    case: str
    what: str
    unit: str
    values: list[float]


@dataclass(frozen=True, slots=True)
class Machine(Computer):
    """Where it ran. `pace` is nanoseconds for a turn of an empty Python loop."""

    server: str
    gateway_core: int
    pace: float


@dataclass(slots=True)
class Results:
    """A whole run. `options` are what it was asked for, `troubles` what went wrong; `others` is for how
    much of a window (percent) the gateway had to wait for its core."""

    started: str
    machine: Machine
    options: dict[str, float]
    series: list[Series] = dataclasses.field(default_factory=list)
    others: list[float] = dataclasses.field(default_factory=list)
    troubles: list[str] = dataclasses.field(default_factory=list)

    def add(self, case: str, what: str, unit: str, *values: float) -> None:
        for series in self.series:
            if (series.case, series.what) == (case, what):
                series.values.extend(values)
                return
        self.series.append(Series(case, what, unit, list(values)))

    def of(self, case: str, what: str) -> Sequence[float]:
        return next((series.values for series in self.series if (series.case, series.what) == (case, what)), ())

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def p99(values: Sequence[float]) -> float:
    return percentile(values, 0.99)


@dataclass(frozen=True, slots=True)
class Goal:
    case: str
    what: str
    text: str
    limit: float
    figure: Callable[[Sequence[float]], float]


GOALS = (
    Goal("routable", "register to routable, unchecked", "register call to first routable, p99 ms", 50, p99),
    Goal("routable", "register to routable, checked", "the same with a first probe, p99 ms", 50, p99),
    Goal("routable", "deregister to not picked", "deregister call to no longer picked, p99 ms", 50, p99),
    Goal("crash", "crash to eviction, beyond the lease", "crash to eviction beyond the lease, worst s", 1, max),
    Goal("fleet", "CPU of the gateway", "heartbeats of the fleet: gateway, % of a core", 30, statistics.median),
    Goal("fleet", "CPU of Valkey", "heartbeats of the fleet: Valkey, % of a core", 30, statistics.median),
    Goal("resync", "unchanged: until it is right again", "resync, nothing changed, worst ms", 1000, max),
    Goal("resync", "all changed: until it is right again", "resync, everything changed, worst ms", 1000, max),
    Goal("changes", "lag", "changes: change to applied, p99 ms", 50, p99),
)


def goals_table(results: Results) -> str:
    rows = []
    for goal in GOALS:
        values = results.of(goal.case, goal.what)
        reached = goal.figure(values) if values else None
        word = "not measured" if reached is None else "met" if reached <= goal.limit else "MISSED"
        rows.append([goal.text, f"{goal.limit:g}", number(reached), word])
    return table(["goal", "at most", "reached", ""], rows)


def case_table(results: Results, case: str) -> str:
    rows = []
    for series in results.series:
        if series.case == case:
            values = series.values
            figures = (min(values), statistics.median(values), p99(values), max(values))
            rows.append([series.what, series.unit, str(len(values)), *map(number, figures)])
    return table(["figure", "unit", "times", "least", "median", "p99", "worst"], rows)


def page(results: Results, titles: dict[str, str]) -> str:
    """The run as a Markdown page. `titles` are the sentences that stand over the cases."""
    machine = results.machine
    parts = [
        f"# Benchmark of the registry, {results.started}",
        f"{machine.told()}\n"
        f"Python {machine.python}; {machine.server}. Gateway on core {machine.gateway_core}, all others elsewhere.\n"
        f"Pace of the machine: {number(machine.pace)} ns for a turn of an empty Python loop.\n"
        + ", ".join(f"{name} {value:g}" for name, value in results.options.items())
        + ". See bench/README.rst.",
    ]
    notes = list(results.troubles)
    noisy = [share for share in results.others if share > NOISY * 100]
    if noisy:
        notes.insert(
            0,
            f"in {len(noisy)} of {len(results.others)} windows the gateway waited for its core more than {NOISY:.0%}"
            f" of the time (at worst {max(noisy):.0f}%): the machine was not quiet",
        )
    if notes:
        parts.append("**Beware:**\n\n" + "\n".join(f"- {note}" for note in notes))
    parts += ["## Goals", goals_table(results)]
    for case, title in titles.items():
        if any(series.case == case for series in results.series):
            parts += [f"## {case}: {title}", case_table(results, case)]
    return "\n\n".join(parts) + "\n"
