"""What can happen to the set of instances: the vocabulary between control plane and Directory.

Two directions share it. Registry, static configuration and launcher tell the Directory InstancesReset, InstanceAdded,
InstanceUpdated, InstanceRemoved, SuspicionChanged and LoadReported, the operator AdminStateChanged and WeightChanged
(what he said of old comes from the registry, as WillsTold).
The Directory tells its sinks the same, as far as something really changed, and HealthChanged, BreakerChanged and
EjectionChanged besides. Events are past-tense facts, never requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from wmesh.model import AdminState, Health, InstanceRecord, LoadSample, Will


@dataclass(frozen=True, slots=True)
class InstancesReset:
    """The whole truth of one `origin` at once: what is not in `records` is gone, so a reconnect leaves no ghosts."""

    origin: str
    records: tuple[InstanceRecord, ...]


@dataclass(frozen=True, slots=True)
class InstanceAdded:
    record: InstanceRecord


@dataclass(frozen=True, slots=True)
class InstanceUpdated:
    """Same id and incarnation, other weight, tags, version or metadata."""

    record: InstanceRecord


@dataclass(frozen=True, slots=True)
class InstanceRemoved:
    """`reason` is for people: "deregistered", "lease expired", "process exited"."""

    service: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SuspicionChanged:
    """Its source vouches for it no longer (`reason` says why, for people), or does so again (`reason` is empty)."""

    service: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdminStateChanged:
    """`lasting`: it is meant for whoever bears this id, later lives as well; else for the present one only.

    It was said `ago` seconds before now, `by` somebody (for people; empty: not by an operator).
    """

    service: str
    id: str
    state: AdminState
    lasting: bool = True
    ago: float = 0.0
    by: str = ""


@dataclass(frozen=True, slots=True)
class WeightChanged:
    """The operator gives an instance another weight; None: what it registered with. `ago`, `by`: as above."""

    service: str
    id: str
    weight: int | None
    ago: float = 0.0
    by: str = ""


@dataclass(frozen=True, slots=True)
class WillsTold:
    """What operators said, as it stands in the registry now; of all instances, if it is the `whole` of it.

    One that says nothing was forgotten there, for nobody has had such an instance for long. Not for the Directory: what
    changes by it, `wmesh.control.wills` tells there as AdminStateChanged and WeightChanged.
    """

    wills: tuple[Will, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class LoadReported:
    service: str
    id: str
    sample: LoadSample


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """An instance's active health flipped. `reason` is that of the result that flipped it."""

    service: str
    id: str
    old: Health
    new: Health
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A circuit breaker moved from `old` to `new` ("closed", "open", "half_open"). No `id`: it is the service's own."""

    service: str
    id: str
    old: str
    new: str
    reason: str


@dataclass(frozen=True, slots=True)
class EjectionChanged:
    """Live traffic took an instance out for `seconds` (`reason` says why); or, with no seconds, it is back."""

    service: str
    id: str
    seconds: float
    reason: str


Event = (
    InstancesReset
    | InstanceAdded
    | InstanceUpdated
    | InstanceRemoved
    | SuspicionChanged
    | AdminStateChanged
    | WeightChanged
    | WillsTold
    | LoadReported
    | HealthChanged
    | BreakerChanged
    | EjectionChanged
)
