"""Whom the data plane trusts: one OpenSSL context for each set of files, shared by all instances of all services.

Strategy: a context is made when the first connection needs it (the system's authorities alone take 4 ms of CPU and
0.8 MiB) and made anew when one of its files has changed since, which each new connection looks at: so certificates and
keys are renewed on disk without a restart. Files that make no sense meanwhile are warned of, and the old ones stay in
use. What was wrong with them at the start was told there (`wmesh.certificates`).

The chain is verified by OpenSSL in the handshake. The name is compared right behind it, by service-identity, before
anything is sent: contexts can be shared only because they know no names.
"""

from __future__ import annotations

import ssl

from twisted.logger import Logger

from wmesh.certificates import Stamp, check_files, stamp_of
from wmesh.errors import CertificateFileError
from wmesh.model import TlsSpec

log = Logger()

Files = tuple[str, str, str]
"""Those of a TlsSpec: ca, cert, key."""


class Contexts:
    """The contexts that were needed so far."""

    def __init__(self) -> None:
        self._made: dict[tuple[bool, Files], tuple[Stamp, ssl.SSLContext]] = {}

    def context(self, spec: TlsSpec) -> ssl.SSLContext:
        """The one for these settings. CertificateFileError, or OSError, where there never was a good one."""
        files = (spec.ca, spec.cert, spec.key)
        stamp = stamp_of(*files)
        known = self._made.get((spec.verify, files))
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            check_files(*files)
            made = _context(spec)
        except (CertificateFileError, OSError) as problem:  # the latter where it changed since it was looked at
            if known is None:
                raise
            log.warn("renewed certificates cannot be used, and the old ones stay in use: {why}", why=str(problem))
            made = known[1]
        self._made[spec.verify, files] = (stamp, made)
        return made


def _context(spec: TlsSpec) -> ssl.SSLContext:
    """From files that were found good."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # see the module
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if not spec.verify:
        context.verify_mode = ssl.CERT_NONE
    elif spec.ca:
        context.load_verify_locations(spec.ca)
    else:
        context.load_default_certs()
    if spec.cert:
        context.load_cert_chain(spec.cert, spec.key, password=lambda: b"")
    return context
