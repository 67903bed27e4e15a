"""TLS of checks: whom to trust, who answered, and until when his certificate holds.

Strategy: one OpenSSL context for each way to verify, shared by all instances (with the system's authorities in it, a
context takes 4 ms of CPU and 0.8 MiB) and made anew when its files change, and one `Secured` for each connection.
OpenSSL verifies the chain during the handshake, and its reasons are caught in words. Whether the certificate is for the
right name is asked right after it (RFC 9525, by service-identity), before anything is sent. Twisted's
`optionsForClientTLS` does the same, but with a context for each name, and with one exception for all that may be wrong
with a chain.

How long the certificate holds is looked at whether it is verified or not. The words name the day and not the days that
are left, so that a warning is the same text until somebody has seen to it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.logger import Logger
from zope.interface import implementer

from wmesh.certificates import Stamp, check_files, identity_problem, is_address, stamp_of, verification_text
from wmesh.errors import CertificateFileError
from wmesh.model import CheckSpec

log = Logger()


class SecurityError(Exception):
    """The check cannot be made as it is configured; the text is the reason, for people."""


class Contexts:
    """The contexts that were needed so far."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[bool, str, str, str], tuple[Stamp, SSL.Context]] = {}

    def secured(self, spec: CheckSpec, host: str) -> Secured:
        """What one connection to `host` needs. Fails with SecurityError."""
        key = (spec.tls_verify, spec.tls_ca, spec.tls_cert, spec.tls_key)
        stamp = stamp_of(*key[1:])
        known = self._contexts.get(key)
        if known is None or known[0] != stamp:
            try:
                context = _context(*key)
            except (SecurityError, SSL.Error) as error:  # the latter where a file changed since it was looked at
                if known is None:
                    raise SecurityError(str(error)) from error
                log.warn("renewed certificates cannot be used, and the old ones stay in use: {why}", why=str(error))
                context = known[1]
            known = self._contexts[key] = (stamp, context)
        return Secured(known[1], spec, spec.tls_name or host)


def _context(verify: bool, authorities: str, cert: str, key: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    try:
        check_files(authorities, cert, key)
    except CertificateFileError as error:
        raise SecurityError(f"health_check_tls_{error.part}: {error}") from error
    if cert:
        context.use_certificate_chain_file(cert)
        context.use_privatekey_file(key)
    if not verify:
        return context
    if authorities:
        context.load_verify_locations(authorities)
    else:
        context.set_default_verify_paths()
    return context


@implementer(IOpenSSLClientConnectionCreator)
class Secured:
    """TLS of one connection. `problem` is what was found wrong with the chain; empty: nothing so far."""

    def __init__(self, context: SSL.Context, spec: CheckSpec, name: str) -> None:
        self.problem = ""
        self._context = context
        self._spec = spec
        self._name = name
        self._is_address = is_address(name)
        try:
            self._ascii = name.encode("ascii" if self._is_address else "idna")
        except UnicodeError as error:
            raise SecurityError(f"no certificate can be for the host {name!r}: {error}") from error

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:
        """Twisted asks for it when the connection stands."""
        connection = SSL.Connection(self._context, None)
        if not self._is_address:
            connection.set_tlsext_host_name(self._ascii)
        if self._spec.tls_verify:
            connection.set_verify(SSL.VERIFY_PEER, self._verified)
        return connection

    def _verified(self, connection: SSL.Connection, certificate: Any, number: int, depth: int, ok: int) -> bool:
        if not ok and not self.problem:
            self.problem = verification_text(number)
        return bool(ok)

    def judge(self, transport: Any, now: float) -> tuple[str, str]:
        """After the handshake, what is wrong with the certificate, and what to warn of; `now` is Unix time."""
        connection: SSL.Connection = transport.getHandle()
        problem = self._identity(connection) if self._spec.tls_verify else ""
        return problem, self._expiry(connection, now) if self._spec.tls_warn else ""

    def _identity(self, connection: SSL.Connection) -> str:
        certificate = connection.get_peer_certificate()
        if certificate is None:
            return "it has no certificate"
        return identity_problem(certificate.to_cryptography(), self._ascii.decode())

    def _expiry(self, connection: SSL.Connection, now: float) -> str:
        certificate = connection.get_peer_certificate()
        ends = certificate.get_notAfter() if certificate is not None else None
        if ends is None:
            return ""
        end = datetime.strptime(ends.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        if end.timestamp() - now > self._spec.tls_warn:
            return ""
        verb = "ended" if end.timestamp() < now else "ends"
        return f"the certificate for {self._name} {verb} at {end:%Y-%m-%d %H:%M} UTC"


def tls_text(problem: SSL.Error) -> str:
    """OpenSSL's words, which are lists of (library, function, reason)."""
    parts = problem.args[0] if problem.args and isinstance(problem.args[0], list) else []
    words = "; ".join(str(part[-1]) for part in parts)
    if "wrong version number" in words or "packet length too long" in words:
        return "it does not speak TLS"
    return f"TLS: {words or type(problem).__name__}"
