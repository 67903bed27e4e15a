"""What `rediss://` needs: whom we trust, who we are, and whether the files that say so make sense.

Strategy: the server is always verified, by its certificate's chain and by its name (or IP address), with Twisted and
service-identity; there is no way to turn that off. Files are looked at before they are used (`wmesh.certificates`).
They are read anew for each connection: a certificate that is renewed on disk is used the next time, and one that is
broken meanwhile is a problem of that connection, not of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wmesh import certificates
from wmesh.errors import CertificateFileError, RegistryError
from wmesh.registry_url import Target

_PARTS = {"ca": "certificates (ca)", "cert": "client certificate (cert)", "key": "key (key)"}


def check_files(target: Target) -> None:
    """Fails with RegistryError, which names the file, if certificates or key cannot be read or do not fit together."""
    try:
        certificates.check_files(target.ca, target.cert, target.key)
    except CertificateFileError as error:
        raise _registry_error(error) from None


def client_options(target: Target) -> Any:
    """Twisted's connection creator for TLS to `target`. Fails with RegistryError as `check_files` does."""
    from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS, trustRootFromCertificates

    check_files(target)
    # Twisted has no types for these two.
    trust_in: Callable[[Sequence[Certificate]], Any] = trustRootFromCertificates
    load_with_key: Callable[[bytes], PrivateCertificate] = PrivateCertificate.loadPEM
    options: dict[str, Any] = {}
    try:
        if target.ca:
            blocks = certificates.certificates_in(target.ca, "ca")
            options["trustRoot"] = trust_in([Certificate.loadPEM(block) for block in blocks])
        if target.cert:
            own, *chain = certificates.certificates_in(target.cert, "cert")
            options["clientCertificate"] = load_with_key(own + certificates.read_file(target.key, "key"))
            if chain:
                issuers = [Certificate.loadPEM(block).original for block in chain]
                options["extraCertificateOptions"] = {"extraCertChain": issuers}
    except CertificateFileError as error:
        raise _registry_error(error) from None
    try:
        return optionsForClientTLS(target.host, **options)
    except UnicodeError as error:
        raise RegistryError(f"TLS: no certificate can be for {target.host}: {str(error).rstrip('.')}") from None


def _registry_error(error: CertificateFileError) -> RegistryError:
    return RegistryError(f"the registry's {_PARTS[error.part]} cannot be used: {error.reason}")
