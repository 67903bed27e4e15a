"""Active checks, one file a kind. Each probe is one small object that serves all instances of all services.

To add one: a file with a class that implements `wmesh.interfaces.Probe`, and a line in `probes` that says which
services it is for. A check that needs a connection of its own starts from `connection.Visit`, which brings the
deadline, the cancelling and the words. When to check is not decided here: that is `wmesh.control.prober`.
"""

from __future__ import annotations

from collections.abc import Callable

from wmesh.control.probes.connection import ReactorForProbes
from wmesh.control.probes.http import HttpProbe
from wmesh.control.probes.tcp import TcpProbe
from wmesh.interfaces import Probe
from wmesh.model import ServiceSpec

__all__ = ["HttpProbe", "TcpProbe", "probes"]


def probes(reactor: ReactorForProbes) -> Callable[[ServiceSpec], Probe]:
    """What `Prober` asks for the probe of a service: HTTP if its checks name a path, a bare connection if not."""
    http, tcp = HttpProbe(reactor), TcpProbe(reactor)
    return lambda spec: http if spec.check.path else tcp
