"""The options of TLS to instances: rows of `[service:NAME]` (see `wmesh.config.schema`, which says how they work)."""

from __future__ import annotations

from wmesh.config import kinds, places
from wmesh.config.option import Option

TLS = (
    Option(
        "tls",
        kinds.switch(),
        "Whether instances are spoken to over TLS. ``protocol = https`` implies it; with websocket you say.",
        "tls = yes",
        field="tls.enabled",
        default="no; yes with protocol = https",
        notes=(":doc:`tls` tells all about it. Checks follow, unless ``health_check_tls`` says otherwise.",),
    ),
    Option(
        "tls_verify",
        kinds.switch(),
        "Whether an instance must prove who it is: by a certificate that is signed by somebody who is trusted, has not"
        " expired, and is for the right name.",
        "tls_verify = no",
        field="tls.verify",
        notes=("no: whoever answers at the address gets the requests of your clients, and all that is in them.",),
    ),
    Option(
        "tls_name",
        places.host,
        "The name or address that the certificates of all instances must be for. A name is also sent to them (SNI).",
        "tls_name = pricing.internal",
        field="tls.name",
        default="the host of each instance; of ``dns:`` and ``srv:`` instances the name that was looked up",
    ),
    Option(
        "tls_ca",
        kinds.file(),
        "A file of certificates (PEM) to trust, and no others.",
        "tls_ca = /etc/wmesh/ca.pem",
        field="tls.ca",
        default="those that the system trusts",
        notes=("This file and the two below are read again when they change.",),
    ),
    Option(
        "tls_cert",
        kinds.file(),
        "Our own certificate (PEM), for instances that ask for one; below it in the file those that lead to its"
        " authority, if any.",
        "tls_cert = /etc/wmesh/gateway.pem",
        field="tls.cert",
        default="none",
    ),
    Option(
        "tls_key",
        kinds.file(),
        "The private key of tls_cert (PEM, without a passphrase).",
        "tls_key = /etc/wmesh/gateway.key",
        field="tls.key",
        default="none",
    ),
)
