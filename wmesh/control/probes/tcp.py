"""The check that asks only whether somebody listens: connect (and shake hands, over TLS), and close.

For services that speak no HTTP, and for those that declare no `health_endpoint`. What it proves is little: a process
that hangs keeps its listening socket, and the kernel goes on saying yes. Nor does it say who listens, unless a
certificate does.
"""

from __future__ import annotations

from wmesh.control.probes.connection import Visit, VisitingProbe


class TcpVisit(Visit):
    def connected(self) -> None:
        self.settle(True, "connected", politely=True)


class TcpProbe(VisitingProbe):
    """Good when a connection is made within `spec.timeout`."""

    visit = TcpVisit
