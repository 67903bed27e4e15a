"""Vectors of request smuggling and parsing: bytes on one side of a gateway, and what may come out at the other.

Data alone, by category, each with the section of the RFC that decides. `python -m bench.conformance` plays them to
wmesh and its peers, tests/scenarios/test_conformance.py to wmesh.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.vectors import chunked, fields, framing, hop_by_hop, host, request_line, responses
from tests.vectors.vector import Vector

CATEGORIES: Mapping[str, tuple[Vector, ...]] = {
    "framing": framing.VECTORS,
    "chunked": chunked.VECTORS,
    "fields": fields.VECTORS,
    "request-line": request_line.VECTORS,
    "host": host.VECTORS,
    "hop-by-hop": hop_by_hop.VECTORS,
    "answers": responses.VECTORS,
}
