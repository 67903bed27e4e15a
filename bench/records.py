"""The nouns of a run: cases, samples, and results as they are saved. Nothing here measures or prints."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from bench.computer import Computer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of a proxy. `how` are words for the load script: "close" opens a connection for every request,
    "varied" makes every request's path and two of its fields unlike those of any other.
    """

    name: str
    title: str
    path: str
    connections: int
    how: tuple[str, ...] = ()


LOADS = (
    Case("small", "Small GET (1 KiB), ten header fields, keep-alive on both sides", "/small", 64),
    Case("varied", "Small GET, no two requests alike: path, cookie and trace id differ", "/small", 64, ("varied",)),
    Case("64k", "64 KiB response", "/64k", 64),
    Case("10m", "10 MiB response", "/10m", 8),
    Case("connect", "Small GET, client connection per request", "/small", 64, ("close",)),
)
IDLE = Case("idle", "Memory of idle keep-alive connections, each after one small GET", "/small", 5000)
CASES = {case.name: case for case in (*LOADS, IDLE)}


@dataclass(frozen=True, slots=True)
class LoadSample:
    """One peer, one case, one turn. CPU is microseconds per request, latencies are microseconds, memory is bytes.

    `busy` is the share of the window that the peer spent on its core; `others` what everybody else spent there, the
    measure of how far to trust the sample. `errors` is empty when there were none.
    """

    peer: str
    case: str
    turn: int
    cpu: float
    rate: float
    p50: float
    p99: float
    requests: int
    busy: float
    others: float
    rss: int
    pss: int
    errors: str


@dataclass(frozen=True, slots=True)
class IdleSample:
    """Bytes before and after `connections` idle connections were added; `errors` tells of those that were closed."""

    peer: str
    turn: int
    connections: int
    rss_before: int
    rss_after: int
    pss_before: int
    pss_after: int
    errors: str

    @property
    def rss_each(self) -> float:
        return (self.rss_after - self.rss_before) / self.connections

    @property
    def pss_each(self) -> float:
        return (self.pss_after - self.pss_before) / self.connections


@dataclass(frozen=True, slots=True)
class Failure:
    """A measurement that could not be made."""

    peer: str
    case: str
    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class Machine(Computer):
    """Where the run took place, and with which tools."""

    wrk: str
    backend: str
    proxy_core: int
    load_cores: tuple[int, ...]


@dataclass(slots=True)
class Results:
    """A whole run. `versions` is in the order in which the peers took turns. `paces` are nanoseconds for one turn of
    an empty Python loop, taken before every round: they tell a slow hour of the machine from a slow proxy."""

    started: str
    duration: int
    rounds: int
    machine: Machine
    versions: dict[str, str]
    remarks: dict[str, str]
    paces: list[float] = dataclasses.field(default_factory=list)
    loads: list[LoadSample] = dataclasses.field(default_factory=list)
    idles: list[IdleSample] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)

    def of(self, peer: str, case: str) -> list[LoadSample]:
        return [sample for sample in self.loads if sample.peer == peer and sample.case == case]

    def idle_of(self, peer: str) -> list[IdleSample]:
        return [sample for sample in self.idles if sample.peer == peer]

    def cpu(self, peer: str, case: str) -> float | None:
        """Median CPU per request; None where it was not measured."""
        return middle(self.of(peer, case), lambda sample: sample.cpu)

    def ratio(self, peer: str, other: str, case: str) -> float | None:
        one, two = self.cpu(peer, case), self.cpu(other, case)
        return one / two if one is not None and two else None

    def cases(self) -> list[Case]:
        """Those that were tried, in the usual order."""
        tried = {sample.case for sample in self.loads} | {failure.case for failure in self.failures}
        if self.idles:
            tried.add(IDLE.name)
        return [case for case in CASES.values() if case.name in tried]

    def troubled(self) -> bool:
        """Did anything fail, or any request?"""
        wrong = any(sample.errors for sample in self.loads) or any(sample.errors for sample in self.idles)
        return wrong or bool(self.failures)

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"


def middle(samples: Iterable[T], figure: Callable[[T], float]) -> float | None:
    """The median of a figure over samples; None when there are none."""
    figures = [figure(sample) for sample in samples]
    return statistics.median(figures) if figures else None
