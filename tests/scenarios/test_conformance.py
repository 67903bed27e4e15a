"""Every vector of tests/vectors against a real gateway, whose instance writes down each byte that reaches it.

The same as `python -m bench.conformance`, judged by what wmesh promises: whatever it refuses it refuses with a word,
and nothing that can be read in two ways leaves it on either side.
"""

from __future__ import annotations

import asyncio

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from bench.conformance.play import play_all
from bench.conformance.report import faults
from tests.ports import free_port
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage
from tests.vectors import CATEGORIES

PATIENCE = 5.0
"""Seconds of silence that are one; nothing here should be silent."""

SETTINGS = {"service:x": {"health_check_enabled": "no", "circuit_breaker_failures": "1000000"}}
"""One bad answer follows the other, and each is to be read."""


@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("category", CATEGORIES)
@pytest_twisted.ensureDeferred
async def test_vectors(stage: Stage, category: str, piece: int) -> None:
    """Sent in one piece, or byte by byte: it is the same to the gateway."""
    behind = free_port()
    mesh = static([f"127.0.0.1:{behind}"], changes=SETTINGS)
    program = await stage.gateway(mesh.text)
    vectors = {category: CATEGORIES[category]}
    found = await deferToThread(
        lambda: asyncio.run(play_all(mesh.port, behind, vectors, PATIENCE, strictly=True, piece=piece))
    )
    wrong = faults(found)
    assert len(found[category]) == len(CATEGORIES[category])
    assert not wrong, "\n".join(["", *wrong])
    assert not any("Traceback" in line or "Unhandled" in line for line in program.output.splitlines())
