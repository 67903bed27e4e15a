"""The check that asks only whether somebody listens: connect, and close.

For services that speak no HTTP, and for those that declare no `health_endpoint`. What it proves is little: a process
that hangs keeps its listening socket, and the kernel goes on saying yes. Nor does it say who listens.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from wmesh.control.probes.connection import ReactorForProbes, Visit
from wmesh.model import CheckResult, CheckSpec, InstanceRecord


class TcpProbe:
    """Implements `wmesh.interfaces.Probe`: good when a connection is made within `spec.timeout`."""

    def __init__(self, reactor: ReactorForProbes) -> None:
        self._reactor = reactor

    def __call__(self, record: InstanceRecord, spec: CheckSpec) -> Deferred[CheckResult]:
        return _TcpVisit(self._reactor, record.address, spec.timeout).done


class _TcpVisit(Visit):
    def connected(self) -> None:
        self.settle(True, "connected", politely=True)
