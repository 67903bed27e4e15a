"""Fixtures of the scenarios."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

if TYPE_CHECKING:
    from tests.scenarios.stage import Stage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A scenario that is not marked as one for pytest-twisted would pass without having run."""
    for item in items:
        function = getattr(item, "obj", None)
        if inspect.iscoroutinefunction(function) and not hasattr(function, "_pytest_twisted_mark"):
            raise pytest.UsageError(f"{item.nodeid} is async, but lacks @pytest_twisted.ensureDeferred")


@pytest_twisted.async_yield_fixture()
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Gateways, instances and clients of one scenario, and their end."""
    # Imported late: what imports the reactor must not do so before pytest-twisted has installed one.
    from tests.scenarios.stage import Stage

    stage = Stage(tmp_path)
    try:
        yield stage
    finally:
        await stage.close()
