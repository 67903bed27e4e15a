"""What `rediss://` needs: whom we trust, who we are, and whether the files that say so make sense.

Strategy: the server is always verified, by its certificate's chain and by its name (or IP address), with Twisted and
service-identity; there is no way to turn that off. Files are looked at before they are used, by `check_files`, which
loads no Twisted, so that `wmesh check` can say what a start would say. They are read anew for each connection: a
certificate that is renewed on disk is used the next time, and one that is broken meanwhile is a problem of that
connection, not of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wmesh.errors import RegistryError
from wmesh.registry_url import Target

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def check_files(target: Target) -> None:
    """Fails with RegistryError, which names the file, if certificates or key cannot be read or do not fit together."""
    if not (target.ca or target.cert):
        return
    # It loads sockets, which the check of most configurations can do without.
    import ssl

    if target.ca:
        data = _read(target.ca, "certificates (ca)")
        if _BEGIN not in data:
            raise RegistryError(f"the registry's certificates (ca) cannot be read: {target.ca}: no certificate in it")
        try:
            ssl.create_default_context(cadata=data.decode("ascii", "replace"))
        except ssl.SSLError:
            raise RegistryError(f"the registry's certificates (ca) cannot be read: {target.ca}: damaged") from None
    if not target.cert:
        return
    if _BEGIN not in _read(target.cert, "client certificate (cert)"):
        raise RegistryError(f"the registry's client certificate (cert) cannot be read: {target.cert}: none in it")
    _read(target.key, "key (key)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(target.cert, target.key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"the registry's key {target.key} is not that of the certificate {target.cert}"
            raise RegistryError(why) from None
        why = f"damaged, or the key has a passphrase, which it must not: {target.cert}, {target.key}"
        raise RegistryError(f"the registry's client certificate and key cannot be used: {why}") from None


def client_options(target: Target) -> Any:
    """Twisted's connection creator for TLS to `target`. Fails with RegistryError as `check_files` does."""
    from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

    check_files(target)
    # Twisted has no types for these two.
    trust_in: Callable[[Sequence[Certificate]], Any] = trustRootFromCertificates
    load_with_key: Callable[[bytes], PrivateCertificate] = PrivateCertificate.loadPEM
    options: dict[str, Any] = {}
    if target.ca:
        options["trustRoot"] = trust_in([Certificate.loadPEM(block) for block in _blocks(target.ca)])
    if target.cert:
        own, *chain = _blocks(target.cert)
        options["clientCertificate"] = load_with_key(own + _read(target.key, "key (key)"))
        if chain:
            issuers = [Certificate.loadPEM(block).original for block in chain]
            options["extraCertificateOptions"] = {"extraCertChain": issuers}
    try:
        return optionsForClientTLS(target.host, **options)
    except UnicodeError as error:
        raise RegistryError(f"TLS: no certificate can be for {target.host}: {str(error).rstrip('.')}") from None


def _blocks(path: str) -> list[bytes]:
    """The certificates of a file, each a text of its own without what stands round it."""
    end = b"-----END CERTIFICATE-----\n"
    parts = _read(path, "certificates").split(_BEGIN)[1:]
    return [_BEGIN + part.partition(end.strip())[0] + end for part in parts]


def _read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise RegistryError(f"the registry's {what} cannot be read: {path}: {error.strerror}") from None
