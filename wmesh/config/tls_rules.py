"""Rules between the options of TLS to instances, and how far checks follow them.

They work like those of `wmesh.config.checks`, which calls them once for each service. Whether the files make sense is
not looked at here, where nothing is read: see `wmesh.certificates`.
"""

from __future__ import annotations

from dataclasses import replace

from wmesh.config.draft import Draft
from wmesh.config.tls_options import TLS
from wmesh.model import CheckSpec, ServiceSpec, TlsSpec


def check_tls(draft: Draft, section: str, spec: ServiceSpec) -> None:
    """What is given without TLS, or without its other half, would be ignored without a word."""
    if spec.check.enabled and spec.check.secure:
        _halves(draft, section, "health_check_", spec.check.tls_cert, spec.check.tls_key)
    if not draft.sound(section, "protocol", "tls"):
        return
    if draft.given(section, "tls") and spec.protocol == "https" and not spec.tls.enabled:
        draft.complain(section, "tls", "protocol = https is TLS", "write protocol = http")
    if spec.tls.enabled and spec.protocol == "http":
        draft.complain(section, "tls", "protocol = http is without TLS", "write protocol = https")
        return
    if not spec.secure:
        hint = "write protocol = https" if spec.protocol == "http" else "add tls = yes"
        for option in TLS[1:]:
            if draft.given(section, option.name) and draft.value(section, option.name) != "":
                draft.complain(section, option.name, "instances are not spoken to over TLS", hint)
        return
    _halves(draft, section, "", spec.tls.cert, spec.tls.key)
    if spec.tls.ca and not spec.tls.verify:
        draft.complain(section, "tls_ca", "with tls_verify = no nobody looks who signed it", "take one of the two out")
    if not spec.tls.verify:
        draft.notes.append(
            f"[{section}] tls_verify: no instance has to prove who it is; anybody on the way can read and change"
            " what clients and instances tell each other"
        )


def _halves(draft: Draft, section: str, prefix: str, cert: str, key: str) -> None:
    for given, missing, name, other in ((cert, key, "tls_cert", "tls_key"), (key, cert, "tls_key", "tls_cert")):
        if given and not missing and draft.given(section, prefix + name) and draft.sound(section, prefix + other):
            draft.complain(section, prefix + name, f"{prefix}{other} is missing", f"add {prefix}{other} = FILE")


def as_traffic(draft: Draft, section: str, check: CheckSpec, tls: TlsSpec, secure: bool) -> CheckSpec:
    """A check asks as the traffic does, as far as its own options leave open."""

    def left_open(option: str) -> bool:
        return not draft.given(section, f"health_check_{option}")

    if secure and left_open("tls") and check.kind != "http":
        check = replace(check, tls=True)
    if not (secure and check.secure):
        return check
    if left_open("tls_verify") and left_open("tls_ca"):
        check = replace(check, tls_verify=tls.verify, tls_ca=tls.ca if tls.verify else "")
    elif left_open("tls_ca") and check.tls_verify:
        check = replace(check, tls_ca=tls.ca)
    if left_open("tls_name"):
        check = replace(check, tls_name=tls.name)
    if left_open("tls_cert") and left_open("tls_key"):
        check = replace(check, tls_cert=tls.cert, tls_key=tls.key)
    return check
