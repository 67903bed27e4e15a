"""How a fake instance behaves: service time, fault, health endpoint. Pure, and sent over the control channel as JSON.

A behaviour is set as a whole and replaces the one before. A fault and the health endpoint are separate, because the
worst faults are those that health checks do not see.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from dataclasses import dataclass

FAULTS = ("none", "error", "slow", "refuse", "hang", "reset")
HEALTHS = ("ok", "follows", "fails")
SERVICES = ("constant", "exponential", "lognormal", "bimodal")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`mean` is the service time in seconds, `service` its distribution (all have that mean).

    fault:
      error    500 at once
      slow     service times are `slow_by` as long
      refuse   the listening socket is closed, and so are all connections, as when a process is killed
      hang     connections are accepted and requests read; answers come when the fault is over
      reset    the head and half the body are sent, then the connection is reset
    health, what /health says:
      ok       200 at once, whatever the fault (but refuse)
      follows  error: 503; slow: late; hang: nothing; reset: reset
      fails    503 at once, whatever the fault

    `flap` seconds with the fault and as many without take turns; 0: it is there all the time. `workers` bounds how many
    requests are worked on at a time, the others wait in line, and what a client has given up on is worked on all the
    same; 0: no bound. `cold` is for how many seconds after it began to listen an instance is slow: `slow_by` at
    first, then less and less.
    """

    mean: float = 0.007
    service: str = "exponential"
    fault: str = "none"
    health: str = "ok"
    slow_by: float = 20.0
    flap: float = 0.0
    workers: int = 0
    cold: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("fault", FAULTS), ("health", HEALTHS), ("service", SERVICES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; known are {', '.join(known)}")
        for name in ("mean", "slow_by", "flap", "workers", "cold"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; it must be a number, zero or more")

    def fault_at(self, since: float) -> str:
        """The fault `since` seconds after this behaviour began."""
        return "none" if self.flap and int(since / self.flap) % 2 else self.fault

    def seconds(self, draw: random.Random, fault: str, age: float) -> float:
        """One service time of an instance that has been listening for `age` seconds."""
        if self.service == "exponential":
            time = draw.expovariate(1.0) * self.mean
        elif self.service == "lognormal":
            time = draw.lognormvariate(-0.5, 1.0) * self.mean
        elif self.service == "bimodal":
            time = self.mean * (0.5 if draw.random() < 0.95 else 10.5)
        else:
            time = self.mean
        if fault == "slow":
            return time * self.slow_by
        if age < self.cold:
            return time * (1.0 + (self.slow_by - 1.0) * (1.0 - age / self.cold))
        return time

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Behaviour:
        """Raises ValueError that says what is wrong."""
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            names = ", ".join(field.name for field in dataclasses.fields(cls))
            raise ValueError(f"{text} is no behaviour: {error}; a JSON object of {names} is") from None
