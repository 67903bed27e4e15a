"""The other end of the control channel: how a run tells the fake instances what to be, and asks what reached them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.faults.behaviour import Behaviour
from bench.process import Launch

ROOT = Path(__file__).resolve().parents[2]


def launch(control: int, ports: Sequence[int]) -> Launch:
    """How to start the instances."""
    argv = (sys.executable, "-m", "bench.faults.instances", str(control), *map(str, ports))
    return Launch(argv, {"PYTHONPATH": str(ROOT)})


class FleetError(Exception):
    """The instances did not understand, or are not there any more."""


class Fleet:
    """`async with Fleet(control, count) as fleet`. The instances must be listening."""

    def __init__(self, control: int, count: int) -> None:
        self.control = control
        self.count = count
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        # An answer is one line, and may hold the arrivals of a long run.
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.control, limit=1 << 26)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def set(self, index: int, behaviour: Behaviour) -> None:
        await self._ask(f"set {index} {behaviour.as_json()}")

    async def become(self, usual: Behaviour, others: Mapping[int, Behaviour] | None = None) -> None:
        """All behave as usual, but those that are named."""
        for index in range(self.count):
            await self.set(index, (others or {}).get(index, usual))

    async def arrivals(self) -> list[tuple[float, int]]:
        """(seconds, index) of every request that reached an instance since this was last asked, in order of time."""
        return [(when, index) for when, index in json.loads(await self._ask("arrivals"))]

    async def _ask(self, line: str) -> str:
        self._writer.write(line.encode() + b"\n")
        answer = (await self._reader.readline()).decode().strip()
        if not answer or answer.startswith("error"):
            raise FleetError(f"the instances were told {line!r}, and answered {answer!r}")
        return answer
