"""What cannot work does not start: it says why, ends with status 1, and leaves nothing behind."""

from __future__ import annotations

import socket

import pytest
import pytest_twisted

from tests.ports import free_port
from tests.scenarios.meshes import Mesh, grocery, static
from tests.scenarios.stage import Stage


@pytest.mark.parametrize("which", ["public", "admin"])
@pytest_twisted.ensureDeferred
async def test_port_is_taken(stage: Stage, which: str) -> None:
    """A taken port, be it the public or the admin one, is named; nothing was launched before it was known."""
    mesh = grocery()
    port = mesh.port if which == "public" else mesh.admin
    with socket.create_server(("127.0.0.1", port)):
        program = await stage.gateway(mesh.text, ready=False)
        assert await program.ended() == 1
    assert any(f"cannot listen at 127.0.0.1:{port}: Address already in use" in line for line in program.lines)
    assert "Traceback" not in program.output
    assert not any("healthy" in line for line in program.lines), program.output
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_every_problem_is_printed(stage: Stage) -> None:
    """All that is wrong with a configuration is told at once, each with file, line, section, option, and a way out."""
    config = """[gateway]
listen = tcp:99999

[mesh]
log_level = loud
colour = blue

[registry]
url = memory:

[service:one]
instances = 127.0.0.1:1
strategey = least_connections
dependencies = two

[service:two]
instances = 127.0.0.1:2
routes = /one/
dependencies = one
health_check_interval = soon
"""
    program = await stage.gateway(config, ready=False)
    assert await program.ended() == 1
    problems = program.output.splitlines()
    for expected in (
        "mesh.ini:2: [gateway] listen: ",
        "mesh.ini:5: [mesh] log_level: ",
        "mesh.ini:6: [mesh] colour: ",
        "mesh.ini:13: [service:one] strategey: no option has this name; did you mean load_balancing_strategy?",
        "mesh.ini:20: [service:two] health_check_interval: ",
    ):
        assert any(expected in problem for problem in problems), (expected, program.output)
    assert any("one -> two -> one" in problem for problem in problems), program.output
    assert any("/one/ is taken already" in problem for problem in problems), program.output
    assert "Traceback" not in program.output
    stage.assert_nothing_left(program)


@pytest_twisted.ensureDeferred
async def test_no_such_file(stage: Stage) -> None:
    """A configuration that is not there is said to be not there."""
    program = stage.launch("")
    (program.folder / "mesh.ini").unlink()
    assert await program.ended() == 1
    assert "mesh.ini" in program.output
    assert "Traceback" not in program.output


@pytest_twisted.ensureDeferred
async def test_shared_state_dir(stage: Stage) -> None:
    """Of two gateways on one state_dir the second does not start, says what to do, and does not harm the first."""
    first_mesh = grocery("walmart-pricing")
    first = await stage.gateway(first_mesh.text)
    second_mesh = grocery("walmart-api-server")
    state = first.folder / "var" / "wmesh"
    config = second_mesh.text.replace("state_dir = var/wmesh", f"state_dir = {state}")
    second = await stage.gateway(config, name="second", ready=False)
    assert await second.ended() == 1
    assert any("is in use by another gateway" in line for line in second.lines), second.output
    assert "Traceback" not in second.output
    assert not any("healthy" in line for line in second.lines), second.output
    stage.assert_nothing_left(second)
    client = stage.client(first_mesh.port)
    assert (await client.get("/walmart-pricing/api/price/12345")).status == 200
    assert (await client.get("/health")).json["registry"] == "connected"
    assert len(first.family()) == 2


@pytest_twisted.ensureDeferred
async def test_port_of_a_service_is_taken(stage: Stage) -> None:
    """A stranger at the port of a launched service is no reason not to start: the instance gets another port, and the
    stranger gets no requests."""
    stranger = stage.instance("stranger")
    mesh = grocery("walmart-pricing", changes={"service:walmart-pricing": {"port": str(stranger.port)}})
    await stage.gateway(mesh.text)
    answer = await stage.client(mesh.port).get("/walmart-pricing/api/price/12345")
    assert (answer.status, answer.headers["x-served-by"]) == (200, "walmart-pricing-1"), answer
    assert stranger.requests == 0


@pytest_twisted.ensureDeferred
async def test_command_that_cannot_run(stage: Stage) -> None:
    """A service whose command does not exist does not stop the others; the gateway says what is wrong and serves on."""
    broken = {"service:walmart-pricing": {"command": "no-such-program {port}", "start_timeout": "1s"}}
    mesh = grocery("walmart-memory-monitor", "walmart-pricing", changes=broken)
    program = await stage.gateway(mesh.text)
    assert any("no-such-program: no such command" in line for line in program.lines), program.output
    client = stage.client(mesh.port)
    assert (await client.get("/walmart-memory-monitor/health")).status == 200
    assert (await client.get("/walmart-pricing/")).status == 503
    health = await client.get("/health")
    assert (health.status, health.json["status"]) == (200, "degraded")


@pytest_twisted.ensureDeferred
async def test_redis_that_is_not_there(stage: Stage) -> None:
    """A registry that cannot be reached does not keep a gateway from serving what it knows by itself."""
    ours = stage.instance("ours")
    url = f"redis://127.0.0.1:{free_port()}/0"
    mesh: Mesh = static([ours.address], changes={"registry": {"url": url}})
    program = await stage.gateway(mesh.text)
    assert any("not reached yet" in line for line in program.lines), program.output
    client = stage.client(mesh.port)
    assert (await client.get("/")).json["instance"] == "ours"
    health = (await client.get("/health")).json
    assert (health["status"], health["registry"]) == ("degraded", "disconnected")
