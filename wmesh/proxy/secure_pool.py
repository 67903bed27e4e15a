"""Connections to an instance that is asked over TLS: the pool, and the making of its connections.

Strategy: what a plain pool does, with a handshake between the connect and the first request, inside the same deadline.
An instance that does not prove who it is gets nothing of a request: the attempt failed to connect, the reason says
under which name it was asked and what was wrong, and another instance may be tried. There is no way from here to a
plain connection.

Sessions are resumed, which spares both sides the expensive half of a handshake, but only for a while after the
certificate was last looked at: see SESSION_LIFE.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from twisted.python.failure import Failure

from wmesh.certificates import identity_problem
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome
from wmesh.errors import CertificateFileError
from wmesh.model import ServiceSpec
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.pool import Dial, Pool
from wmesh.proxy.secure import SecureStream
from wmesh.proxy.transport import Stream

if TYPE_CHECKING:
    from wmesh.proxy.race import Attempt

SESSION_LIFE = 600.0
"""Seconds for which sessions are resumed. Then the certificate has to be shown and verified again, so that one that
expired or is trusted no more is not carried on by sessions without an end."""


class SecurePool(Pool):
    """A pool whose connections are `SecureStream`s."""

    __slots__ = ("_context", "_session", "_since")

    def __init__(self, plane: DataPlane, member: Member, spec: ServiceSpec) -> None:
        super().__init__(plane, member, spec)
        self._context: ssl.SSLContext | None = None
        self._session: ssl.SSLSession | None = None
        self._since = 0.0

    @property
    def name(self) -> str:
        """Who must answer: a host name or an IP address."""
        return self.spec.tls.name or self.member.record.host

    def dial(self, exchange: Attempt) -> Dial:
        return SecureDial(self, exchange)

    def secure(self, stream: SecureStream, dial: SecureDial) -> None:
        """Begin the handshake. CertificateFileError, OSError or ValueError: that cannot even be tried."""
        context = self.plane.contexts.context(self.spec.tls)
        if context is not self._context or self.plane.clock() - self._since > SESSION_LIFE:
            self._context = context
            self._session = None
        stream.secure(context, self.name, self._session, dial)

    def judge(self, stream: SecureStream) -> str:
        """After the handshake, why this is not who was meant; empty: it is."""
        if not self.spec.tls.verify:
            return ""
        certificate = stream.certificate()
        if certificate is None:
            return "it has no certificate"
        return identity_problem(x509.load_der_x509_certificate(certificate), self.name)

    def remember(self, stream: SecureStream) -> None:
        """Its session may be resumed by later connections, if it is not itself a resumed one."""
        if not stream.resumed:
            self._session = stream.session()
            self._since = self.plane.clock()

    def sentence(self, problem: str) -> str:
        """What was wrong, with who was asked and under which name."""
        address = self.member.record.address
        name = self.name
        return f"TLS to {address}{f' as {name}' if name != address.host else ''} failed: {problem}"

    def forget_session(self) -> None:
        """Next time the certificate is shown again."""
        self._session = None


class SecureDial(Dial):
    """A connection being made, with its handshake. While that lasts, this is the stream's protocol."""

    __slots__ = ("_stream",)

    pool: SecurePool
    stream_class = SecureStream
    closes_inline = True

    def __init__(self, pool: SecurePool, exchange: Attempt) -> None:
        super().__init__(pool, exchange)
        self._stream: SecureStream | None = None

    def connected(self, stream: Stream) -> None:
        assert isinstance(stream, SecureStream)
        self.connecting = None
        self._stream = stream
        try:
            self.pool.secure(stream, self)
        except (CertificateFileError, ValueError, OSError) as problem:
            self._stream = None
            stream.abortConnection()
            self._failed(str(problem))

    def secured(self, stream: SecureStream) -> None:
        self._stream = None
        problem = self.pool.judge(stream)
        if problem:
            stream.protocol = None
            stream.loseConnection()
            self._failed(problem)
            return
        if not stream.resumed:
            stream.once_read(self.pool.remember)
        self.ready(stream)

    def insecure(self, problem: str) -> None:
        self._failed(problem)

    def connectionLost(self, reason: Failure) -> None:
        if self._stream is not None:
            self._failed("it closed the connection in the middle of the handshake")

    def late(self) -> str:
        if self._stream is None:
            return super().late()
        return self.pool.sentence(f"no handshake within {self.pool.spec.timeout_connect:g} s; does it speak TLS?")

    def abandon(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abortConnection()
        else:
            super().abandon()

    def _failed(self, problem: str) -> None:
        self._stream = None
        self.pool.forget_session()
        self._end(Outcome.CONNECT_FAILED, self.pool.sentence(problem))
