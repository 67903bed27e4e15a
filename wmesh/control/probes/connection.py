"""One connection to one instance, opened for one check: a single deadline over all of it, and words for what goes
wrong. Over TLS, if the check asks for it.

Strategy: a `Visit` is protocol and factory in one, and one object is one check. The verdict is given once (`settle`)
and told when the socket is gone, so that whoever counts checks counts sockets too. A visit that learned all it wanted
closes politely; one that must leave in the middle (deadline, too much data, cancelled) aborts, and nothing that still
arrives is read. Names instead of IP addresses are resolved by the reactor, within the same deadline. What TLS is about
(whom to trust, who answered, until when his certificate holds) is known to `wmesh.control.probes.security`.

WHY its own factory, and no endpoint: `TCP4ClientEndpoint` wraps protocol and factory once more and arms a timer of its
own for connecting, which this one deadline makes needless; checks of thousands of instances pay for each object.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, cast

from OpenSSL.SSL import Error as TlsError
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IDelayedCall,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    ITCPTransport,
    ITransport,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from wmesh.control.probes.security import Contexts, Secured, SecurityError, tls_text
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord

GOODBYE = 0.5
"""Seconds that the other side of a TLS connection gets to answer our goodbye."""


class ReactorForProbes(Protocol):
    """What probes ask of a reactor: connections and time."""

    def connectTCP(self, host: str, port: int, factory: Any, timeout: float = 30.0) -> IConnector: ...

    def callLater(self, delay: float, callable: Any, *args: Any) -> IDelayedCall: ...

    def seconds(self) -> float: ...


@implementer(IProtocol, IProtocolFactory, IHandshakeListener)
class Visit:
    """A check under way. Subclasses say what to do once connected, and settle the verdict.

    `done` fires with the result, never with a failure; cancelling it aborts the connection at once. `address` is where
    to ask, which need not be where the traffic goes.
    """

    noisy = False
    transport: ITCPTransport

    def __init__(
        self,
        reactor: ReactorForProbes,
        record: InstanceRecord,
        address: Address,
        spec: CheckSpec,
        tls: Secured | None = None,
    ) -> None:
        self.record = record
        self.address = address
        self.spec = spec
        self._reactor = reactor
        self._timeout = timeout = spec.timeout
        self._tls = tls
        self._secured = tls is None
        self._warning = ""
        self._began = reactor.seconds()
        self._result: CheckResult | None = None
        self._connected = False
        self._over = False
        self.done: Deferred[CheckResult] = Deferred(self._cancelled)
        self._deadline = reactor.callLater(timeout, self._too_late)
        factory: Any = self if tls is None else TLSMemoryBIOFactory(tls, True, self, cast(Any, reactor))
        # A second more than the deadline: that is the one that ends it, whatever state the connector is in.
        self._connector = reactor.connectTCP(address.host, address.port, factory, timeout=timeout + 1.0)

    def connected(self) -> None:
        """The connection stands, and over TLS the other side is who he should be."""
        raise NotImplementedError

    def received(self, data: bytes) -> None:
        """The instance sent something; not called any more once the verdict is given."""

    def ended(self, reason: Failure) -> CheckResult:
        """The connection is gone before the verdict was given: give it now."""
        problem = self._tls.problem if self._tls is not None else ""
        if not problem and self._connected and not self._secured and not isinstance(reason.value, TlsError):
            problem = "closed in the middle of the TLS handshake"
        return self.result(False, problem or failure_text(reason, self._timeout))

    def late(self) -> str:
        """What to say if the deadline passes now, on an open connection."""
        return f"no answer in {seconds_text(self._timeout)}"

    def settle(self, ok: bool, reason: str, *, politely: bool, proof: bool = False) -> None:
        """Give the verdict and leave: `politely` when nothing more is expected to come, else by a reset."""
        if self._result is None:
            self._result = result = self.result(ok, reason, proof)
            if not self._connected:
                self._connector.stopConnecting()
                self._finish(result)
            elif politely:
                self.transport.loseConnection()
                if self._tls is not None and self._deadline.active():
                    # Over TLS a goodbye is a question. The verdict does not wait long for the answer.
                    left = self._deadline.getTime() - self._reactor.seconds()
                    self._deadline.reset(max(0.0, min(GOODBYE, left)))
            else:
                self.transport.abortConnection()

    def result(self, ok: bool, reason: str, proof: bool = False) -> CheckResult:
        return CheckResult(ok, reason, self._reactor.seconds() - self._began, proof, self._warning)

    # What Twisted calls on a factory and its protocol.

    def doStart(self) -> None:
        pass

    def doStop(self) -> None:
        pass

    def startedConnecting(self, connector: IConnector) -> None:
        pass

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        return self

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._finish(self._result or self.ended(reason))

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        pass

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = cast(ITCPTransport, transport)
        self._connected = True
        self.connectionMade()

    def connectionMade(self) -> None:
        if self._tls is None:
            self.connected()

    def handshakeCompleted(self) -> None:
        assert self._tls is not None
        self._secured = True
        # The wall's time, which is what certificates go by.
        problem, self._warning = self._tls.judge(self.transport, self._reactor.seconds())
        if self._result is not None:
            return
        if problem:
            self.settle(False, problem, politely=False)
        else:
            self.connected()

    def dataReceived(self, data: bytes) -> None:
        if self._result is None:
            self.received(data)

    def connectionLost(self, reason: Failure) -> None:
        self._finish(self._result or self.ended(reason))

    # How a visit ends.

    def _too_late(self) -> None:
        reason = f"no connection in {seconds_text(self._timeout)}"
        if self._connected:
            reason = self.late() if self._secured else f"no TLS handshake in {seconds_text(self._timeout)}"
        if self._result is not None:
            # It said goodbye, but the other side does not let go.
            self.transport.abortConnection()
        self.settle(False, reason, politely=False)

    def _cancelled(self, _: Deferred[CheckResult]) -> None:
        """Whoever asked no longer wants to know; `Deferred.cancel` itself tells them so."""
        self.settle(False, "cancelled", politely=False)

    def _finish(self, result: CheckResult) -> None:
        if self._over:
            return
        self._over = True
        if self._deadline.active():
            self._deadline.cancel()
        # Connector and factory hold each other; a check should not leave work for the garbage collector.
        del self._connector
        if not self.done.called:
            self.done.callback(result)


class VisitingProbe:
    """Implements `wmesh.interfaces.Probe` by one visit for each check. Subclasses name the `visit`."""

    visit: ClassVar[type[Visit]]

    def __init__(self, reactor: ReactorForProbes, contexts: Contexts | None = None) -> None:
        self._reactor = reactor
        self._contexts = contexts or Contexts()

    def __call__(self, record: InstanceRecord, spec: CheckSpec) -> Deferred[CheckResult]:
        address = Address(record.address.host, spec.port) if spec.port else record.address
        tls: Secured | None = None
        if spec.secure:
            try:
                tls = self._contexts.secured(spec, record.host)
            except SecurityError as error:
                return succeed(CheckResult(False, str(error), 0.0))
        return self.visit(self._reactor, record, address, spec, tls).done


def seconds_text(seconds: float) -> str:
    """Seconds for people: "5 s", "0.25 s"."""
    return f"{seconds:g} s"


def failure_text(failure: Failure, timeout: float) -> str:
    """Why a connection was not made or broke, in a few words."""
    problem = failure.value
    if isinstance(problem, error.ConnectionRefusedError):
        return "refused"
    if isinstance(problem, error.DNSLookupError):
        return "name not found"
    if isinstance(problem, error.NoRouteError):
        return "no route to it"
    if isinstance(problem, (error.TimeoutError, error.TCPTimedOutError)):
        return f"no connection in {seconds_text(timeout)}"
    if isinstance(problem, TlsError):
        return tls_text(problem)
    if isinstance(problem, error.ConnectionDone):
        return "closed without an answer"
    if isinstance(problem, error.ConnectionLost):
        return "connection reset"
    return failure.getErrorMessage() or type(problem).__name__
