"""Rules between the options of retries, deadlines and fallbacks.

They work like those of `wmesh.config.checks`, which calls them once for each service.
"""

from __future__ import annotations

from wmesh.config.draft import Draft
from wmesh.config.kinds import OURS
from wmesh.config.units import show_duration
from wmesh.config.wording import did_you_mean
from wmesh.model import ServiceSpec

TAKEN = frozenset((*OURS, "forwarded", "keep-alive", "max-forwards", "via", "x-request-id"))
"""Header fields of requests that have a meaning of their own here."""


def check_retries(draft: Draft, section: str, spec: ServiceSpec) -> None:
    """Apply them to one service, in `section`; or to what a route has made of it, in that route's section."""
    _fallback(draft, section, spec)
    _hedges(draft, section, spec)
    name = spec.deadline_header.lower()
    if name in TAKEN or name.startswith("x-forwarded-"):
        message = f"{spec.deadline_header} says something else in a request"
        draft.complain(section, "deadline_header", message, "choose a name of its own, or leave it out")
    whole, first = spec.timeout_request, spec.timeout_first_byte
    told = any(draft.given(section, option) for option in ("timeout_request", "timeout_first_byte", "retry_attempts"))
    if told and 0 < whole <= first and spec.retry.attempts and "timeout" in spec.retry.on:
        draft.notes.append(
            f"[{section}] timeout_request: {show_duration(whole)} is no more than timeout_first_byte"
            f" ({show_duration(first)}), so an instance that hangs leaves no time to ask another one"
        )


def _hedges(draft: Draft, section: str, spec: ServiceSpec) -> None:
    given = [option for option in ("hedge_delay", "hedge_quantile") if draft.given(section, option)]
    if not given or not spec.hedge.enabled:
        return
    if spec.hedge.delay >= spec.timeout_first_byte:
        shown = f"{show_duration(spec.hedge.delay)} is no less than timeout_first_byte"
        draft.notes.append(f"[{section}] hedge_delay: {shown}, so no second instance is ever asked")
    if spec.sticky.enabled:
        draft.notes.append(
            f"[{section}] {given[0]}: sticky_sessions bind clients to instances, and no second instance is asked for"
            " those that are bound"
        )


def _fallback(draft: Draft, section: str, spec: ServiceSpec) -> None:
    own = spec.fallback
    if own.service == spec.name:
        draft.complain(section, "fallback", "a service cannot stand in for itself", "name another one")
    elif own.service and own.service not in draft.declared:
        hint = did_you_mean(own.service, sorted(draft.declared - {spec.name})) or f"add [service:{own.service}]"
        draft.complain(section, "fallback", f"there is no service {own.service}", hint)
    if not draft.sound(section, "fallback_status"):
        return
    if 0 < own.status < 200 or own.status in (204, 205, 304):
        message = f"{own.status} is no status for an answer that stands for itself"
        draft.complain(section, "fallback_status", message, "write 503, or 200 to 599")
    for option in ("fallback_body", "fallback_file", "fallback_type"):
        if not own.status and draft.given(section, option) and draft.value(section, option):
            draft.complain(section, option, "there is no fixed answer", "add fallback_status = 503")
    if own.body and own.file:
        where = draft.origin(section, "fallback_body")
        both = draft.given(section, "fallback_body") or not draft.given(section, "fallback_file")
        hint = "take one of the two out" if both else "to have the file instead, write an empty fallback_body = here"
        draft.complain(section, "fallback_file", f"the body is given already ({where})", hint)
