"""A mesh of fixed addresses: no registry server, no children, no files; and what health checks do to it."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from tests.ports import free_port
from tests.scenarios.clients import Load
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

MEGABYTE = 1024 * 1024


@pytest_twisted.ensureDeferred
async def test_smallest_mesh(stage: Stage) -> None:
    """Three sections of six lines are a whole configuration. It launches nothing, writes nothing, and stays small."""
    one, two = stage.instance("one"), stage.instance("two")
    port = free_port()
    config = (
        f"[gateway]\nlisten = tcp:{port}\n\n[registry]\nurl = memory:\n\n"
        f"[service:x]\ninstances = {one.address}, {two.address}\nroutes = /\nstrip_prefix = no\n"
    )
    program = stage.launch(config)
    await until("it is ready, or has ended", lambda: not program.running or " is ready: " in program.output)
    if ":8001: Address already in use" in program.output:
        # The admin side's own port is taken on this machine; everything else stays as short as it is.
        program = await stage.gateway(config.replace("[registry]", "admin_listen =\n\n[registry]"))
    client = stage.client(port)
    answer = await client.get("/any/path?and=query")
    assert answer.status == 200, answer
    assert answer.json["path"] == "/any/path?and=query"
    load = Load(client, "/load", workers=8)
    served = await load.more(2000, 30.0)
    await load.stop()
    assert load.failures == []
    assert abs(served["one"] - served["two"]) <= 8, served

    assert program.family() == {}
    print(f"{program.memory() / MEGABYTE:.1f} MB resident")
    assert program.memory() < 70 * MEGABYTE
    assert stage.leftovers(program) == []
    assert [path.name for path in program.folder.iterdir()] == ["mesh.ini"]
    assert await program.stop() == 0
    assert [path.name for path in program.folder.iterdir()] == ["mesh.ini"]


@pytest_twisted.ensureDeferred
async def test_one_refuses_connections(stage: Stage) -> None:
    """An address where nobody listens gets no requests, and its health says why; once somebody does, it gets them."""
    one = stage.instance("one")
    nobody = free_port()
    fast = {"health_check_interval": "500ms", "health_check_fast_interval": "100ms"}
    mesh = static([one.address, f"127.0.0.1:{nobody}"], changes={"service:x": fast})
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    served = await load.more(100)
    assert set(served) == {"one"}
    health = (await client.get("/service-mesh/health/x")).json
    verdicts = {each["address"]: each["reasons"] for each in health["instances"]}
    assert verdicts[one.address] == []
    assert "refused" in str(verdicts[f"127.0.0.1:{nobody}"]), verdicts
    stage.instance("late", nobody)
    await load.until("the late one answers", lambda served: served["late"] > 10)
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_unchecked_instance_refuses_connections(stage: Stage) -> None:
    """Without checks nothing is known beforehand: then a request that meets a closed port goes to the other."""
    one = stage.instance("one")
    mesh = static([f"127.0.0.1:{free_port()}", one.address], changes={"service:x": {"health_check_enabled": "no"}})
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for _ in range(6):
        answer = await client.post("/", {"order": 1})
        assert (answer.status, answer.json["instance"]) == (200, "one"), answer


@pytest_twisted.ensureDeferred
async def test_fall_and_rise(stage: Stage) -> None:
    """An instance whose /health says 500 is taken out by the third answer of that kind, not before, and taken back by
    the second good one; the others take its requests meanwhile, and no request fails."""
    one, two = stage.instance("one"), stage.instance("two")
    fast = {"health_check_interval": "200ms", "health_check_fast_interval": "50ms"}
    mesh = static([one.address, two.address], changes={"service:x": fast})
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    await load.until("both answer", lambda served: len(served) == 2)

    async def is_in(health: str) -> bool:
        instances = (await client.get("/service-mesh/health/x")).json["instances"]
        return next(each["health"] == health for each in instances if each["address"] == two.address)

    async def hold(quick: int, status: int) -> Deferred[int]:
        """So many checks are answered with this status at once; the next one waits, and is returned."""
        held: Deferred[int] = Deferred()
        begun = two.checks
        two.check = lambda: status if two.checks <= begun + quick else held
        await until("the deciding check is asked", lambda: two.checks == begun + quick + 1)
        return held

    third = await hold(2, 500)
    assert await is_in("healthy")
    both = await load.more(40)
    assert both["two"] > 10, both
    two.check = lambda: 500
    third.callback(500)
    await until("it is taken out", lambda: is_in("unhealthy"))
    assert set(await load.more(40)) == {"one"}
    document = (await client.get("/service-mesh/health/x")).json
    assert document["status"] == "degraded"
    assert "500" in str(document["instances"]), document

    second = await hold(1, 200)
    assert await is_in("unhealthy")
    assert set(await load.more(40)) == {"one"}
    two.check = lambda: 200
    second.callback(200)
    await until("it is taken back", lambda: is_in("healthy"))
    await load.until("both answer", lambda served: served["two"] > 10)
    await load.stop()
    assert load.failures == []


@pytest.mark.parametrize("status", [301, 401, 503])
@pytest_twisted.ensureDeferred
async def test_never_healthy(stage: Stage, status: int) -> None:
    """An instance that was never healthy gets no request; the gateway starts all the same and says what is wrong."""
    sick = stage.instance("sick")
    sick.check = lambda: status
    mesh = static([sick.address], changes={"service:x": {"start_timeout": "500ms"}})
    program = await stage.gateway(mesh.text)
    assert any(f"status {status}" in line for line in program.lines), program.output
    answer = await stage.client(mesh.port).get("/")
    assert (answer.status, answer.json["service"]) == (503, "x"), answer
    assert sick.requests == 0
