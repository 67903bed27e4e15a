"""Files of certificates and keys, and whether a certificate is for whom we meant: what registry, checks and traffic
have in common wherever they speak TLS.

Strategy: files are looked at before they are used, by `check_files`, so that `wmesh check` can say what a start would
say, and every message names the file. Names are compared by service-identity (RFC 9525), never by hand. Nothing here
loads Twisted, and what needs sockets is loaded when it is called: the check of most configurations does without.

What is done with a connection does not belong here: each of the three has TLS of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from wmesh.errors import CertificateFileError, ConfigError, Problem
from wmesh.model import ServiceSpec

PROBLEMS = {
    7: "the certificate is signed by an authority that is not trusted, though it has the name of one that is",
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is signed by itself, and not trusted",
    19: "the certificate is signed by an authority that is not trusted",
    20: "the certificate is signed by an authority that is not trusted",
    21: "the certificate is signed by an authority that is not trusted",
    23: "the certificate was revoked",
    26: "the certificate is not one for servers",
}
"""What OpenSSL's verification errors (x509_vfy.h) mean for whoever has to mend it."""

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"
_SHOWN = 3
"""Names of a certificate that a message tells, at most."""


Stamp = tuple[tuple[int, int, int] | None, ...]
"""Time, size and inode of each file; None where there is none."""


def verification_text(number: int) -> str:
    """Words for one of OpenSSL's verification errors."""
    return PROBLEMS.get(number, f"the certificate is not good (OpenSSL error {number})")


def check_files(ca: str, cert: str, key: str) -> None:
    """Fails with CertificateFileError if these files (empty: none) cannot be read or do not fit together.

    `ca` holds certificates to trust, `cert` our own with its chain, `key` its private key; all PEM.
    """
    if not (ca or cert):
        return
    import ssl

    if ca:
        text = b"".join(certificates_in(ca, "ca"))
        try:
            ssl.create_default_context(cadata=text.decode("ascii", "replace"))
        except ssl.SSLError:
            raise CertificateFileError("ca", f"{ca}: damaged") from None
    if not cert:
        return
    certificates_in(cert, "cert")
    if _KEY not in read_file(key, "key"):
        raise CertificateFileError("key", f"{key}: no private key in it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # The empty passphrase: without one, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(cert, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateFileError("key", f"{key} is not that of the certificate {cert}") from None
        why = "damaged, or the key has a passphrase, which it must not"
        raise CertificateFileError("cert", f"{cert}, {key}: {why}") from None


class Where(Protocol):
    """Where an option's value stands, as `wmesh.config` tells it."""

    @property
    def source(self) -> str: ...

    @property
    def line(self) -> int: ...


def check_services(services: Sequence[ServiceSpec], origins: Mapping[tuple[str, str], Where], source: str) -> None:
    """Fails with ConfigError if files that these services name cannot be used: all problems at once.

    `origins` is by section and option, `source` for those that stand nowhere.
    """
    problems = [
        Problem(place.source or source, place.line, section, option, reason)
        for section, option, reason in _problems(services)
        for place in (origins[section, option],)
    ]
    if problems:
        raise ConfigError(problems)


def _problems(services: Sequence[ServiceSpec]) -> Iterator[tuple[str, str, str]]:
    """(section, option, what is wrong)"""
    for spec in services:
        tls, check = spec.tls, spec.check
        uses: dict[str, tuple[str, str, str]] = {}
        if spec.secure:
            uses["tls_"] = (tls.ca, tls.cert, tls.key)
        asked = (check.tls_ca, check.tls_cert, check.tls_key)
        if check.enabled and check.secure and asked not in uses.values():
            uses["health_check_tls_"] = asked
        for prefix, files in uses.items():
            try:
                check_files(*files)
            except CertificateFileError as error:
                yield f"service:{spec.name}", prefix + error.part, error.reason


def certificates_in(path: str, part: str) -> list[bytes]:
    """The certificates of a file, each a text of its own without what stands round it; at least one."""
    pieces = read_file(path, part).split(_BEGIN)[1:]
    if not pieces:
        raise CertificateFileError(part, f"{path}: no certificate in it")
    return [_BEGIN + piece.partition(_END)[0] + _END + b"\n" for piece in pieces]


def read_file(path: str, part: str) -> bytes:
    """What is in a file. CertificateFileError, about this part, where there is none to read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateFileError(part, f"{path}: {error.strerror}") from None


def stamp_of(*paths: str) -> Stamp:
    """What changes when one of these files is replaced; cheap enough to ask before each connection."""
    return tuple(map(_stamp, paths))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def is_address(name: str) -> bool:
    """An IP address, and no name?"""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def identity_problem(certificate: Any, name: str) -> str:
    """Why a certificate (of `cryptography.x509`) is not one for this host name or IP address; empty: it is."""
    from service_identity import CertificateError, VerificationError
    from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

    verify = verify_certificate_ip_address if is_address(name) else verify_certificate_hostname
    try:
        verify(certificate, name)
    except (VerificationError, CertificateError):
        names = _names(certificate)
        return f"the certificate is not for {name}" + (f" but for {names}" if names else "")
    except ValueError:
        return f"no certificate can be for {name}"
    return ""


def _names(certificate: Any) -> str:
    """Whom a certificate is for, in a few words; empty if it does not say."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    names = [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]
    # They come from the other side, and end up in logs and answers.
    shown = ["".join(letter if letter.isprintable() else "?" for letter in name[:100]) for name in names[:_SHOWN]]
    return ", ".join([*shown, *([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])])
