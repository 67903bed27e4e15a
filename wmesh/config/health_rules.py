"""Rules between the options of health checks: what one kind of check has no use for would be ignored without a word.

They work like those of `wmesh.config.checks`, which calls them once for each service.
"""

from __future__ import annotations

from collections.abc import Iterator

from wmesh.config.draft import Draft
from wmesh.model import ServiceSpec

ANSWERED = ("health_check_host", "health_check_headers", "health_check_id_header", "health_check_expected_body")
"""Options of every check that asks for something."""

HTTP = ("health_check_method", "health_check_expected_status")
WEBSOCKET = ("health_check_message",)
TLS = tuple(f"health_check_tls_{what}" for what in ("verify", "name", "ca", "cert", "key", "warn"))


def check_health(draft: Draft, section: str, spec: ServiceSpec) -> None:
    """Apply them to one service, in `section`."""
    if not draft.sound(section, "health_endpoint", "health_check_type", "health_check_tls"):
        return
    check = spec.check
    for option, message, hint in _needless(spec):
        if draft.given(section, option) and draft.value(section, option) not in ("", ()):
            draft.complain(section, option, message, hint)
    if check.kind in ("http", "https") and not check.path:
        message = f"an {check.kind} check asks for a path"
        draft.complain(section, "health_check_type", message, "add health_endpoint = /PATH")
    if check.kind == "tcp" and check.path:
        where = draft.origin(section, "health_endpoint")
        message = f"a tcp check only opens a connection and asks for no path, but health_endpoint is given ({where})"
        draft.complain(section, "health_check_type", message, "take one of the two out")
    if check.kind == "https" and draft.given(section, "health_check_tls") and not check.tls:
        draft.complain(section, "health_check_tls", "https is TLS", "write health_check_type = http")
    if check.method == "HEAD" and check.expected_body and check.probe == "http":
        message = "the answer to HEAD has no body to look at"
        draft.complain(section, "health_check_expected_body", message, "take one of the two out")
    if check.secure and check.tls_ca and not check.tls_verify:
        message = "with health_check_tls_verify = no nobody looks who signed the certificate"
        draft.complain(section, "health_check_tls_ca", message, "take one of the two out")
    if check.port and spec.command and spec.scaling.max_instances > 1 and draft.sound(section, "max_instances"):
        message = "launched instances share a host, so one port would answer for all of them"
        draft.complain(section, "health_check_port", message, "take it out, or write max_instances = 1")


def _needless(spec: ServiceSpec) -> Iterator[tuple[str, str, str]]:
    """Options that this check has no use for, why, and what to do."""
    check = spec.check
    if check.probe == "tcp":
        message = "a tcp check only opens a connection, and there is no answer to look at"
        hint = "take it out, or change health_check_type"
        if not check.kind:
            message = message.replace("a tcp check", "without health_endpoint a check")
            hint = "add health_endpoint = /PATH"
        yield from ((option, message, hint) for option in (*ANSWERED, *HTTP))
    if check.probe == "websocket":
        message = "a websocket check is a GET that is answered 101"
        yield from ((option, message, "take it out, or change health_check_type") for option in HTTP)
    else:
        yield from (
            (option, "only a websocket check sends one", "add health_check_type = websocket") for option in WEBSOCKET
        )
    if not check.secure:
        hint = "add health_check_tls = yes"
        if check.probe == "http":
            hint = "write health_check_type = https"
        yield from ((option, "the check is not made over TLS", hint) for option in TLS)
