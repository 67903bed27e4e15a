"""Instances that do not go when they are asked, and those that leave children behind: nothing of them survives."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest_twisted

from tests.ports import free_port
from tests.scenarios.meshes import Mesh, grocery
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

STUBBORN = """
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
"""Ignores SIGTERM, and has a child of its own."""


def stubborn(stage: Stage, stop_timeout: str = "500ms") -> Mesh:
    program: Path = stage.keep(stage.folder() / "stubborn.py")
    program.write_text(STUBBORN)
    service = {
        "command": "{python} stubborn.py {port}",
        "port": str(free_port()),
        "stop_timeout": stop_timeout,
    }
    return grocery("walmart-memory-monitor", changes={"service:stubborn": service})


@pytest_twisted.ensureDeferred
async def test_stop(stage: Stage) -> None:
    """Asked first, killed after stop_timeout, with all that it started."""
    mesh = stubborn(stage)
    program = await stage.gateway(mesh.text)
    # Registry, monitor, the stubborn one and its child.
    assert len(program.family()) == 4, program.family()
    assert await program.stop() == 0
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_next_start_ends_it(stage: Stage) -> None:
    """When the gateway is killed, it survives, for it ignores that as well. The next gateway finds it by the note that
    was left, and ends it before it starts another."""
    mesh = stubborn(stage)
    first = await stage.gateway(mesh.text)
    first.send(signal.SIGKILL)
    await first.ended()
    await until("only the stubborn one and its child are left", lambda: len(first.family()) == 2)
    second = await stage.gateway(mesh.text)
    assert any("left behind by a gateway that was killed" in line for line in second.complaints), second.output
    assert not set(first.family()) - set(second.family()) - {second.pid}, first.family()
    assert (await stage.client(mesh.port).get("/stubborn/")).status == 200
    assert await second.stop() == 0
    stage.assert_nothing_left(second)


@pytest_twisted.ensureDeferred
async def test_second_signal_does_not_wait_for_it(stage: Stage) -> None:
    """stop_timeout may be long; Ctrl-C pressed again is about running requests only, and does not make it orphaned."""
    mesh = stubborn(stage, stop_timeout="2s")
    program = await stage.gateway(mesh.text)
    program.send(signal.SIGINT)
    await program.says("stopping")
    program.send(signal.SIGINT)
    assert await program.ended() == 0
    stage.assert_nothing_left(program)
