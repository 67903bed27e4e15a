"""The options of active health checks: rows of `[service:NAME]` (see `wmesh.config.schema`, which says how they work).

`health_endpoint` is not here: it stands with what every service declares.
"""

from __future__ import annotations

from wmesh.config import kinds, places
from wmesh.config.option import HOUR, Option

TYPES = ("http", "https", "tcp", "websocket")
METHODS = ("GET", "HEAD", "OPTIONS", "POST")
DAY = 24 * HOUR

HEALTH_CHECKS = (
    Option(
        "health_check_enabled",
        kinds.switch(),
        "Whether instances are checked. no: an instance is eligible as long as it is listed or holds a lease.",
        "health_check_enabled = no",
        field="check.enabled",
    ),
    Option(
        "health_check_type",
        kinds.choice(TYPES, "type of check"),
        "What a check does. http and https ask for health_endpoint. websocket opens a WebSocket there (at / if it is"
        " not set) and sends a ping, which must come back. tcp only opens a connection.",
        "health_check_type = websocket",
        field="check.kind",
        default="http with health_endpoint, else tcp",
        notes=("It need not be what the traffic speaks: https checks of an http service are fine.",),
    ),
    Option(
        "health_check_port",
        places.port,
        "The port that checks ask at, where it is another than that of the traffic.",
        "health_check_port = 9090",
        field="check.port",
        default="the port of the instance",
        notes=("Instances that this mesh launches share a host, so it needs max_instances = 1 there.",),
    ),
    Option(
        "health_check_method",
        kinds.choice(METHODS, "method", {method.lower(): method for method in METHODS}),
        "The method of http and https checks. No body is sent.",
        "health_check_method = HEAD",
        field="check.method",
    ),
    Option(
        "health_check_host",
        kinds.word("HOST", r"[A-Za-z0-9._:\[\]-]{1,255}", "write a name, with :PORT if it has one"),
        "The Host header of checks.",
        "health_check_host = shop.example.com",
        field="check.host",
        default="address and port that are asked",
    ),
    Option(
        "health_check_headers",
        kinds.fields(),
        "Further headers of checks, one a line. They replace the gateway's own User-Agent and Accept.",
        "health_check_headers =\n    Authorization: Bearer 7d0c...\n    X-Probe: wmesh",
        field="check.headers",
        default="none",
    ),
    Option(
        "health_check_interval",
        kinds.duration(0.05, HOUR),
        "The time between two checks of an instance whose state is settled.",
        "health_check_interval = 15s",
        field="check.interval",
    ),
    Option(
        "health_check_fast_interval",
        kinds.duration(0.05, HOUR),
        "The time between two checks of an instance that is new, or on its way to another state.",
        "health_check_fast_interval = 500ms",
        field="check.fast_interval",
        default="1s, or health_check_interval where that is shorter",
    ),
    Option(
        "health_check_timeout",
        kinds.duration(0.01, HOUR),
        "How long one check may take in all.",
        "health_check_timeout = 5s",
        field="check.timeout",
    ),
    Option(
        "health_check_retries",
        kinds.whole(1, 100, "checks"),
        "How many checks must fail in a row until a healthy instance takes no more requests.",
        "health_check_retries = 3",
        field="check.fall",
    ),
    Option(
        "health_check_rise",
        kinds.whole(1, 100, "checks"),
        "How many checks must succeed in a row until an unhealthy instance takes requests again.",
        "health_check_rise = 2",
        field="check.rise",
        notes=("The very first good check of a new instance is enough.",),
    ),
    Option(
        "health_check_expected_status",
        kinds.statuses(),
        "Which statuses of the answer count as healthy.",
        "health_check_expected_status = 200, 204, 300-399",
        field="check.expected_status",
        notes=("For http and https checks.",),
    ),
    Option(
        "health_check_expected_body",
        kinds.expression(),
        "A regular expression that must be found in the first 64 KiB of the answer; in a websocket check, in a"
        " message.",
        'health_check_expected_body = "status": *"healthy"',
        field="check.expected_body",
        default="none: the body is not looked at",
        notes=(
            "A search that takes more than 20 ms of processor time is ended, and the check fails. Expressions that"
            " repeat little, like the one above, never come near.",
        ),
    ),
    Option(
        "health_check_message",
        kinds.text(1024),
        "A text message that a websocket check sends after its ping.",
        'health_check_message = {"type": "ping"}',
        field="check.message",
        default="none",
        notes=(
            "The check passes when the same message comes back, or one that has health_check_expected_body in it."
            " Others that come before are passed over.",
        ),
    ),
    Option(
        "health_check_id_header",
        kinds.field_name(),
        "The header in which an instance may say who it is, as ID or ID/INCARNATION. One that names somebody else fails"
        " the check at once, for then another program has taken over the address.",
        "health_check_id_header = X-Instance",
        field="check.id_header",
        notes=(
            "Empty: nobody looks. An answer without the header is judged by the rest of it.",
            "Programs that the mesh or ``wmesh register`` starts find both parts in WMESH_INSTANCE_ID and"
            " WMESH_INCARNATION. Instances that this file names are not compared: they are meant by their address.",
        ),
    ),
    Option(
        "health_check_tls",
        kinds.switch(),
        "Whether checks are made over TLS. The type https implies it; with websocket and tcp it is for you to say.",
        "health_check_tls = yes",
        field="check.tls",
        default="no; yes with health_check_type = https, and where the service is spoken to over TLS",
        notes=(
            "With TLS to the instances, ``tls_verify``, ``tls_name``, ``tls_ca``, ``tls_cert`` and ``tls_key`` hold for"
            " checks as well, but for what the options below say otherwise.",
            "``health_check_type = http`` is a check without TLS, whatever the traffic speaks.",
        ),
    ),
    Option(
        "health_check_tls_verify",
        kinds.switch(),
        "Whether the certificate must be good: signed by somebody who is trusted, not expired, for the right name.",
        "health_check_tls_verify = no",
        field="check.tls_verify",
        notes=("no: whoever answers is believed. The end of the certificate is still watched.",),
    ),
    Option(
        "health_check_tls_name",
        places.host,
        "The name or address that the certificate must be for. A name is also sent to the instance (SNI).",
        "health_check_tls_name = shop.example.com",
        field="check.tls_name",
        default="tls_name, or the host of the instance",
    ),
    Option(
        "health_check_tls_ca",
        kinds.file(),
        "A file of certificates (PEM) to trust, and no others. It is read again when it changes.",
        "health_check_tls_ca = /etc/wmesh/ca.pem",
        field="check.tls_ca",
        default="tls_ca, or those that the system trusts",
    ),
    Option(
        "health_check_tls_cert",
        kinds.file(),
        "Our own certificate (PEM), for instances that ask checks for one.",
        "health_check_tls_cert = /etc/wmesh/gateway.pem",
        field="check.tls_cert",
        default="tls_cert, or none",
    ),
    Option(
        "health_check_tls_key",
        kinds.file(),
        "The private key of health_check_tls_cert (PEM, without a passphrase).",
        "health_check_tls_key = /etc/wmesh/gateway.key",
        field="check.tls_key",
        default="tls_key, or none",
    ),
    Option(
        "health_check_tls_warn",
        kinds.duration(0, 365 * DAY),
        "How long before a certificate ends the gateway begins to warn: once in the log, and in the reports of its"
        " instances. 0: never.",
        "health_check_tls_warn = 30d",
        field="check.tls_warn",
    ),
)
