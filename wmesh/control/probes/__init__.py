"""Active checks, one file a kind. Each probe is one small object that serves all instances of all services.

To add one: a file with a class that implements `wmesh.interfaces.Probe`, and a line in `probes` that says which
services it is for. A check that needs a connection of its own starts from `connection.Visit`, which brings the
deadline, the cancelling, TLS and the words. When to check is not decided here: that is `wmesh.control.prober`.
"""

from __future__ import annotations

from collections.abc import Callable

from wmesh.control.probes.connection import ReactorForProbes, VisitingProbe
from wmesh.control.probes.http import HttpProbe
from wmesh.control.probes.security import Contexts
from wmesh.control.probes.tcp import TcpProbe
from wmesh.control.probes.websocket import WebSocketProbe
from wmesh.interfaces import Probe
from wmesh.model import ServiceSpec

__all__ = ["HttpProbe", "TcpProbe", "WebSocketProbe", "probes"]

KINDS: dict[str, type[VisitingProbe]] = {"http": HttpProbe, "tcp": TcpProbe, "websocket": WebSocketProbe}
"""By `CheckSpec.probe`."""


def probes(reactor: ReactorForProbes) -> Callable[[ServiceSpec], Probe]:
    """What `Prober` asks for the probe of a service."""
    contexts = Contexts()
    made = {name: kind(reactor, contexts) for name, kind in KINDS.items()}
    return lambda spec: made[spec.check.probe]
