"""Rules between the options of strategies, breakers, outliers, stickiness and limits.

They work like those of `wmesh.config.checks`, which calls them once for each service.
"""

from __future__ import annotations

from wmesh.balance import STRATEGIES
from wmesh.config.draft import Draft
from wmesh.config.schema import SERVICE
from wmesh.model import MeshConfig, ServiceSpec

ORDERS = (
    ("circuit_breaker_reset_timeout", "circuit_breaker_max_reset_timeout"),
    ("outlier_ejection_time", "outlier_max_ejection_time"),
    ("adaptive_min", "adaptive_max"),
    ("retry_backoff", "retry_max_backoff"),
)
"""Of each two the first must not be more than the second."""


def check_orders(draft: Draft, section: str) -> None:
    """Apply that in a section, of a service or of a route, that says at least one of the two."""
    for low, high in ORDERS:
        option = low if draft.given(section, low) else high
        if not draft.given(section, option) or not draft.sound(section, low, high):
            continue
        least, most = draft.value(section, low), draft.value(section, high)
        if least > most:
            shown = [SERVICE.options[name].kind.show(value) for name, value in ((low, least), (high, most))]
            draft.complain(section, option, f"{low} {shown[0]} is more than {high} {shown[1]}", "exchange them")


def check_traffic(draft: Draft, section: str, config: MeshConfig, spec: ServiceSpec) -> None:
    """Options that only make sense together, or in an order."""
    check_orders(draft, section)
    if spec.sticky.same_site == "none" and spec.sticky.secure == "no":
        message = "browsers refuse cookies with SameSite=None that are not Secure"
        draft.complain(section, "sticky_same_site", message, "write sticky_secure = yes")
    if draft.given(section, "hash_on") and spec.strategy not in ("consistent_hash", "ip_hash"):
        message = f"load_balancing_strategy is {spec.strategy}, which hashes nothing"
        draft.complain(section, "hash_on", message, "write load_balancing_strategy = consistent_hash")
    elif draft.given(section, "hash_on") and spec.strategy == "ip_hash" and spec.hash_on != "client":
        message = "ip_hash hashes the client's address and nothing else"
        draft.complain(section, "hash_on", message, "write load_balancing_strategy = consistent_hash")
    if spec.zone_preference and not config.mesh.zone and draft.sound("mesh", "zone"):
        draft.complain(section, "zone_preference", "the gateway's own zone is not known", "add zone = NAME to [mesh]")
    _strategy(draft, section, spec)


def _strategy(draft: Draft, section: str, spec: ServiceSpec) -> None:
    """What the chosen strategy makes no use of. One of another package may read whatever it likes."""
    if draft.given(section, "hash_balance_factor") and spec.strategy in set(STRATEGIES) - {"consistent_hash"}:
        draft.notes.append(f"[{section}] hash_balance_factor: only consistent_hash reads it, not {spec.strategy}")
    if spec.strategy == "resource_based" and spec.instances:
        draft.notes.append(
            f"[{section}] load_balancing_strategy: fixed instances send no reports of what they use, so resource_based"
            " has only their requests in flight to go by"
        )
