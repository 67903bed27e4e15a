"""Why: `GET /service-mesh/explain` and `/service-mesh/decisions`, taken apart from the query and handed on.

    explain?service=NAME[&client=ADDRESS]
    explain?path=PATH[&method=GET][&host=NAME][&client=ADDRESS][&header=NAME:VALUE ...]
    decisions[?count=20]
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from wmesh.admin.operate import Operations
from wmesh.admin.request import AdminRequest, Reply
from wmesh.errors import ControlError
from wmesh.interfaces import Controls

EXAMPLE = "/service-mesh/explain?path=/shop/cart, or ?service=shop"
MOST = 1000


def explained(controls: Controls, request: AdminRequest) -> Reply:
    query = _query(request, ("service", "path", "method", "host", "client", "header"))
    service, path = _one(query, "service"), _one(query, "path")
    if bool(service) == bool(path):
        raise ControlError(f"either a service or a path has to be named: {EXAMPLE}", 400)
    if service and any(name in query for name in ("method", "host", "header")):
        raise ControlError("method, host and header belong to a path, not to a service", 400)
    fields = []
    for text in query.get("header", ()):
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise ControlError(f"header={text[:60]}: should be NAME:VALUE", 400)
        fields.append((name.strip(), value.strip()))
    client = _address(_one(query, "client") or "127.0.0.1")
    method = _one(query, "method") or "GET"
    return Reply(controls.explain(service, method, path, _one(query, "host"), client, fields))


def _address(text: str) -> str:
    """In the spelling that connections have: what hashes the client hashes its text."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ControlError(f"client={text[:60]}: should be an IP address", 400) from None
    return str(getattr(address, "ipv4_mapped", None) or address)


def recent(controls: Controls, operations: Operations, request: AdminRequest) -> Reply:
    operations.look(request)
    text = _one(_query(request, ("count",)), "count") or "20"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise ControlError(f"count={text[:20]}: should be a whole number from 1 to {MOST}", 400)
    return Reply({"decisions": list(controls.decisions(int(text)))})


def _query(request: AdminRequest, known: tuple[str, ...]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, values in (request.args or {}).items():
        key = name.decode("ascii", "backslashreplace")
        if key not in known:
            raise ControlError(f"unknown parameter {key[:40]}; known: {', '.join(known)}", 400)
        found[key] = [value.decode("utf-8", "backslashreplace") for value in values]
    return found


def _one(query: Mapping[str, list[str]], name: str) -> str:
    values = query.get(name, [""])
    if len(values) > 1:
        raise ControlError(f"{name} is given more than once", 400)
    return values[0]
