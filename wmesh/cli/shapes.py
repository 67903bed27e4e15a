"""What a document must look like for a command to read it. Pure.

Strategy: at the port where a command asks, any program may answer, and many answer with JSON. So whatever a command
reads is first held against a shape, which says only what the command needs: more may be there, for a gateway of a later
version says more. A shape is one of

    str, int, …                 a value of this type
    (int, float)                a value of one of these types
    [SHAPE]                     a list of such values
    {str: SHAPE}                an object that has such a value under each name, whatever the names are
    {"id": SHAPE, "load?": …}   an object with these names; one that ends in ? may be missing, or null
"""

from __future__ import annotations

from typing import Any

NUMBER = (int, float)

_SEEN = {
    "id": str,
    "version": str,
    "health?": str,
    "available?": bool,
    "since_seconds?": NUMBER,
    "in_flight?": int,
    "picks?": int,
    "failures?": int,
    "reasons?": [str],
    "load?": {"cpu_percent?": NUMBER, "memory_bytes?": int},
}

SERVICE = {"name": str, "status": str, "reason": str, "instances": [{**_SEEN, "address": str}]}
"""At /services/NAME, of which `wmesh instances` shows the instances."""

SERVICES = {
    "services": {
        str: {
            "status": str,
            "reason": str,
            "healthy": int,
            "total": int,
            "in_flight": int,
            "strategy": str,
            "routes": [str],
        }
    }
}
"""At /services."""

REGISTRATIONS = {"services": {str: [{**_SEEN, "host": str, "port": int}]}}
"""At /service-mesh/registry."""

EXPLAINED = {
    "service?": str,
    "strategy?": str,
    "route?": str,
    "target?": str,
    "section?": str,
    "options?": {str: str},
    "overridden?": [str],
    "hedging?": {"after_ms?": NUMBER, "samples?": int},
    "pick?": str,
    "why": str,
    "subset?": str,
    "zone?": str,
    "key?": str,
    "bound?": str,
    "panic?": bool,
    "candidates_total?": int,
    "excluded_total?": int,
    "candidates?": [{"id": str, "address": str, "score": NUMBER, "note": str, "reasons": [str]}],
    "excluded?": [{"id": str, "address": str, "reasons": [str]}],
}
"""At /service-mesh/explain. Without a service it has no more than a reason."""

DECISION = {
    "request_id": str,
    "ago_seconds": NUMBER,
    "milliseconds": NUMBER,
    "method": str,
    "target": str,
    "route?": str,
    "service?": str,
    "strategy?": str,
    "status?": int,
    "instance?": str,
    "steps": [{"at_ms": NUMBER, "what": str}],
}
"""At /service-mesh/decisions/ID."""


def fits(value: Any, shape: Any) -> bool:
    """Whether a value that JSON can say has this shape."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if not isinstance(shape, dict):
        # To Python a truth value is a number.
        return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    if not isinstance(value, dict):
        return False
    if str in shape:
        return all(fits(one, shape[str]) for one in value.values())
    return all(_field_fits(value.get(name.rstrip("?")), name, inner) for name, inner in shape.items())


def _field_fits(value: Any, name: str, shape: Any) -> bool:
    return (value is None and name.endswith("?")) or fits(value, shape)
