"""A `Stream` that speaks TLS: the transport under every connection to an instance that is asked over TLS.

Strategy: OpenSSL works on two memory buffers (the standard library's `SSLObject`), and the socket stays the Stream's.
What is written is encrypted at once and goes the Stream's way, with its queue, its backpressure and its counts; what
one read brings is decrypted whole before it is handed on, so that nothing is left in between when reading pauses. Reads
and writes of a plain Stream are untouched. WHY not Twisted's `TLSMemoryBIOProtocol`: it goes through pyOpenSSL, wraps
transport and protocol once more, and half-closing kills its connection; `python -m bench.upstream_tls` has the figures.

The end of the bytes is the peer's close_notify, and nothing else: a socket that just closes is a lost connection, since
anybody on the way could have cut it (RFC 8446 section 6.1). Half-closing says close_notify, too, and then FIN.

Whom to trust does not belong here: see `wmesh.proxy.trust`; nor does what a failed handshake means for a request: that
is `wmesh.proxy.secure_pool`.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable
from typing import Any, Protocol

from twisted.python.failure import Failure

from wmesh.certificates import verification_text
from wmesh.proxy.transport import AGAIN, DONE, LOST, MOST_READ, READ_SIZE, Stream

RECORD = 16384
"""The most bytes that one TLS record carries (RFC 8446 section 5.1)."""

REFUSALS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refused the handshake (perhaps it asks for a client certificate)",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of our client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refused our client certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "it refused our client certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "it says that our client certificate was revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our client certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refused our client certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "it does not let our client certificate in",
    "TLSV1_ALERT_DECRYPT_ERROR": "it could not verify our client certificate",
}
"""How the other side says no to us. In TLS 1.3 it comes after our side of the handshake is done, and any of these means
that nothing we sent behind it was looked at."""

OTHERS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "it does not speak TLS",
    "RECORD_LAYER_FAILURE": "it does not speak TLS",
    "HTTP_REQUEST": "it does not speak TLS",
    "TLSV1_UNRECOGNIZED_NAME": "it knows no such name",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.2 or 1.3",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.2 or 1.3",
}


class TlsFailure(Exception):
    """TLS broke, or was refused; the text is why. `refused`: nothing that was sent so far was looked at."""

    def __init__(self, problem: ssl.SSLError) -> None:
        reason = problem.reason or ""
        self.refused = reason in REFUSALS
        if isinstance(problem, ssl.SSLCertVerificationError):
            text = verification_text(problem.verify_code)
        else:
            text = REFUSALS.get(reason) or OTHERS.get(reason) or reason.replace("_", " ").lower() or str(problem)
        super().__init__(text)


class Maker(Protocol):
    """Who waits for the handshake; it stands in for the protocol until then. Exactly one of the three is called."""

    def secured(self, stream: SecureStream) -> None:
        """The handshake is done. `start` a protocol now, or give the stream up."""

    def insecure(self, problem: str) -> None:
        """The handshake failed; the connection is being closed."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection ended before."""


class SecureStream(Stream):
    """A connected socket on whose other end a TLS server is. `join`ed by `secure`, never by its protocol."""

    __slots__ = ("_incoming", "_maker", "_new", "_outgoing", "_tls")

    _tls: ssl.SSLObject
    _maker: Any
    _new: Any

    def secure(self, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None, maker: Maker) -> None:
        """Begin the handshake. `name` is sent along (SNI) unless it is an address."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        self._maker = maker
        self._new = None
        self.join(maker)
        self._shake()

    def start(self, protocol: Any) -> None:
        """The other side is who he should be: from now on this protocol reads."""
        self.protocol = protocol
        protocol.makeConnection(self)

    def once_read(self, told: Any) -> None:
        """Call `told(stream)` when the first bytes have come: a session that can be resumed is known by then."""
        self._new = told

    def certificate(self) -> bytes | None:
        """The other side's, in DER."""
        return self._tls.getpeercert(True)

    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume."""
        return self._tls.session

    @property
    def resumed(self) -> bool:
        return bool(self._tls.session_reused)

    def _shake(self) -> bool:
        """Go on with the handshake; answers whether it is done and the connection goes on."""
        maker = self._maker
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as problem:
            self._flush()  # it is told why, by an alert
            self.protocol = self._maker = None
            super().loseConnection()
            maker.insecure(str(TlsFailure(problem)))
            return False
        self._flush()
        self._maker = None
        maker.secured(self)
        return self.connected

    # --- reading

    def doRead(self) -> None:
        if not self._reading:
            return
        try:
            data = self.socket.recv(self._read_size)
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno not in AGAIN:
                self.connectionLost(LOST)
            return
        if not data:
            self.connectionLost(LOST)
            return
        if len(data) == self._read_size:
            self._read_size = MOST_READ
        elif len(data) < READ_SIZE < self._read_size:
            self._read_size = READ_SIZE
        self._incoming.write(data)
        if self._maker is None or self._shake():
            self._decrypt()

    def _decrypt(self) -> None:
        """Hand on all that is there."""
        read, incoming = self._tls.read, self._incoming
        pieces: list[bytes] = []
        ended = False
        problem: ssl.SSLError | None = None
        try:
            while incoming.pending:
                piece = read(RECORD)
                if piece:
                    pieces.append(piece)
                else:
                    ended = True
                    break
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as found:
            problem = found
        if self._outgoing.pending:
            self._flush()
        if pieces and self.protocol is not None:
            if self._new is not None:
                told, self._new = self._new, None
                told(self)
            self.protocol.dataReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if not self.connected or self._closing:
            return
        if ended:
            self._read_closed()
        elif problem is not None:
            self.connectionLost(Failure(TlsFailure(problem)))  # type: ignore[no-untyped-call]

    # --- writing

    def write(self, data: bytes) -> None:
        if not self.connected or self._closing or self._half_closing or not data or self._write_broken:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self._break_writing()
            return
        super().write(self._outgoing.read())

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def _flush(self) -> None:
        """Send what TLS itself has to say."""
        super().write(self._outgoing.read())

    # --- closing

    def loseConnection(self, _reason: Failure = DONE) -> None:
        self._say_goodbye()
        super().loseConnection(_reason)

    def loseWriteConnection(self) -> None:
        self._say_goodbye()
        super().loseWriteConnection()

    def _say_goodbye(self) -> None:
        """Our close_notify, behind all that was written."""
        if not self.connected or self._closing or self._half_closing or self._write_broken or self._maker is not None:
            return
        with contextlib.suppress(ssl.SSLError):  # the answer is still to come, and reading is who waits for it
            self._tls.unwrap()
        self._flush()
