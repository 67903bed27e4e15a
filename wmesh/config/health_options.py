"""The options of active health checks: rows of `[service:NAME]` (see `wmesh.config.schema`, which says how they work).

`health_endpoint` is not here: it stands with what every service declares.
"""

from __future__ import annotations

from wmesh.config import kinds
from wmesh.config.option import HOUR, Option

HEALTH_CHECKS = (
    Option(
        "health_check_enabled",
        kinds.switch(),
        "Whether instances are checked. no: an instance is eligible as long as it is listed or holds a lease.",
        "health_check_enabled = no",
        field="check.enabled",
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
        notes=("Needs health_endpoint.",),
    ),
    Option(
        "health_check_expected_body",
        kinds.expression(),
        "A regular expression that must be found in the first 64 KiB of the answer.",
        'health_check_expected_body = "status": *"healthy"',
        field="check.expected_body",
        default="none: the body is not read",
        notes=("Needs health_endpoint.",),
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
            " WMESH_INCARNATION. Fixed instances are not compared: they are meant by their address alone.",
        ),
    ),
)
