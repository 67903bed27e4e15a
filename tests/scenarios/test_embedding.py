"""A mesh inside somebody's program: those of examples/embedding as processes of their own, with real instances."""

from __future__ import annotations

import os
import signal
import sys

import pytest_twisted

from tests.ports import free_port
from tests.scenarios.clients import Load, Raw
from tests.scenarios.instances import BulkFactory
from tests.scenarios.meshes import ROOT
from tests.scenarios.program import START_PATIENCE, Program
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import steady, until

MEGABYTE = 1024 * 1024
SIZE = 50 * MEGABYTE
GROWTH = 6 * MEGABYTE

BULK = """
[mesh]
state_dir = state
[service:walmart-pricing]
instances = 127.0.0.1:{}
health_endpoint = /health
"""


def pricing() -> str:
    """The mesh.ini of the examples, at another port, to be run anywhere."""
    text = (ROOT / "examples" / "embedding" / "mesh.ini").read_text()
    for there, here in (
        ("var/embedding", "state"),
        ("port = 3107", f"port = {free_port()}"),
        ("examples/grocery", f"{ROOT}/examples/grocery"),
    ):
        assert there in text
        text = text.replace(there, here)
    return text


class Example(Program):
    """One of the examples, told to use `port` if it listens at all."""

    script = ""
    port = 0

    def command(self) -> list[str]:
        given = [str(self.port)] if self.port else []
        return [sys.executable, str(ROOT / "examples" / "embedding" / self.script), "mesh.ini", *given]

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


async def site(stage: Stage, config: str) -> Example:
    program = stage.add(Example, config, "site")
    program.script = "front.py"
    program.port = free_port()
    program.start()
    await program.says("listening: ")
    return program


async def end(stage: Stage, program: Example) -> None:
    """By a signal, as people end it."""
    assert await program.stop(signal.SIGINT) in (0, -signal.SIGINT), program.output
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_ask(stage: Stage) -> None:
    """The program that opens a mesh, asks, scales and stops does that, and leaves nothing behind."""
    program = stage.add(Example, pricing(), "ask")
    program.script = "ask.py"
    program.start()
    assert await program.ended() == 0, program.output
    stage.assert_nothing_left(program)
    deployed, *asked, scaled, stopped = program.lines
    assert deployed == "deployed: 1 of 1 services are healthy"
    assert len(asked) == 4
    assert all(line.startswith("200 Whole milk: ") for line in asked), asked
    assert len({line.partition("(")[2] for line in asked}) == 2, asked
    assert (scaled, stopped) == ("scaled: from 2 to 3 instances", "stopped")


@pytest_twisted.ensureDeferred
async def test_an_instance_is_killed(stage: Stage) -> None:
    """1,000 requests through the site, of whose two instances one is killed in the middle: each gets its answer. The
    killed one is started anew, as in a gateway; and when the site ends, nothing is left of either."""
    program = await site(stage, pricing())
    client = stage.client(program.port)
    page = await client.get("/")
    assert (page.status, b"Whole milk costs " in page.body) == (200, True), page
    load = Load(client, "/pricing/api/price/12345", workers=8)
    await load.until("both instances serve", lambda served: len(served) == 2 and served.total() >= 300)
    victim = next(pid for pid, command in program.family().items() if "pricing.py" in command)
    os.kill(victim, signal.SIGKILL)
    await load.more(700)
    await load.until("both instances serve again", lambda served: len(served) == 2, START_PATIENCE)
    await load.stop()
    assert load.failures == []
    assert load.served.total() >= 1000
    await end(stage, program)


@pytest_twisted.ensureDeferred
async def test_slow_reader(stage: Stage) -> None:
    """50 MB to a client that stops reading and goes on later: the site keeps little of it, and all of it arrives."""
    bulk = BulkFactory(4 * MEGABYTE)
    stage.at_end(bulk.close)
    program = await site(stage, BULK.format(bulk.port))
    warm = await stage.raw(program.port)
    await download(warm, 4 * MEGABYTE)
    bulk.size = SIZE
    program.forget_peak()
    before = program.memory()
    raw = await stage.raw(program.port)
    raw.send(b"GET /pricing/bulk HTTP/1.1\r\nHost: x\r\n\r\n")
    await raw.head()
    raw.transport.pauseProducing()
    await steady("what the instance has sent", lambda: max(each.sent for each in bulk.connections))
    assert max(each.sent for each in bulk.connections) < SIZE, "nobody held the instance back"
    head = raw.total - len(raw.received)
    raw.counting = True
    raw.transport.resumeProducing()
    await until("all of it arrives", lambda: raw.total - head >= SIZE or raw.lost)
    assert (raw.total - head, raw.lost) == (SIZE, None)
    grown = program.peak() - before
    print(f"peak memory grew by {grown / MEGABYTE:.2f} MB over {before / MEGABYTE:.1f} MB")
    assert grown < GROWTH, f"{grown / MEGABYTE:.1f} MB"
    await end(stage, program)


async def download(raw: Raw, size: int) -> None:
    raw.send(b"GET /pricing/bulk HTTP/1.1\r\nHost: x\r\n\r\n")
    status, fields = await raw.head()
    assert (status, fields["content-length"]) == (200, str(size))
    await until("it arrives", lambda: len(raw.received) >= size or raw.lost)
