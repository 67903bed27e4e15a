"""Rules between the options of retries, deadlines and fallbacks.

They work like those of `wmesh.config.checks`, which calls them once for each service.
"""

from __future__ import annotations

from wmesh.config.draft import Draft
from wmesh.config.kinds import OURS
from wmesh.config.units import show_duration
from wmesh.model import ServiceSpec

TAKEN = frozenset((*OURS, "forwarded", "keep-alive", "max-forwards", "via", "x-request-id"))
"""Header fields of requests that have a meaning of their own here."""


def check_retries(draft: Draft, section: str, spec: ServiceSpec) -> None:
    """Apply them to one service, in `section`."""
    name = spec.deadline_header.lower()
    if name in TAKEN or name.startswith("x-forwarded-"):
        message = f"{spec.deadline_header} says something else in a request"
        draft.complain(section, "deadline_header", message, "choose a name of its own, or leave it out")
    whole, first = spec.timeout_request, spec.timeout_first_byte
    if 0 < whole <= first and spec.retry.attempts and "timeout" in spec.retry.on:
        draft.notes.append(
            f"[{section}] timeout_request: {show_duration(whole)} is no more than timeout_first_byte"
            f" ({show_duration(first)}), so an instance that hangs leaves no time to ask another one"
        )
