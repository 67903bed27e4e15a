"""Something is killed without a word: the gateway, an instance, the registry."""

from __future__ import annotations

import os
import re
import signal
from functools import partial
from typing import Any

import pytest_twisted

from tests.scenarios.clients import Load
from tests.scenarios.meshes import SEEN, grocery
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

PRICE = "/walmart-pricing/api/price/12345"
THREE = {
    "service:walmart-pricing": {"load_balancing_strategy": "round_robin", "health_check_interval": "1s", **SEEN},
}


@pytest_twisted.ensureDeferred
async def test_gateway_is_killed(stage: Stage) -> None:
    """The kernel takes the gateway's children with it. What stays are files, and they do not disturb the next start,
    which leaves nothing of its own or of its predecessor's."""
    mesh = grocery("walmart-api-server", "walmart-pricing", "walmart-memory-monitor")
    first = await stage.gateway(mesh.text)
    assert len(first.family()) == 4, first.family()
    first.send(signal.SIGKILL)
    assert await first.ended() == -signal.SIGKILL
    await until("instances and registry are gone", lambda: not first.family(), 5.0)
    left = stage.leftovers(first)
    assert any(name.endswith("registry.json") for name in left), left
    assert any("launched" in name for name in left), left

    second = await stage.gateway(mesh.text)
    assert (await stage.client(mesh.port).get(PRICE)).status == 200
    assert await second.stop() == 0
    stage.assert_nothing_left(second)


@pytest_twisted.ensureDeferred
async def test_everything_is_killed(stage: Stage) -> None:
    """When nobody had the time to clear up anything, the registry's socket is left as well."""
    mesh = grocery("walmart-api-server")
    first = await stage.gateway(mesh.text)
    # Held still, so that it does not start again what is killed before it.
    first.send(signal.SIGSTOP)
    for pid in (*first.family(), first.pid):
        os.kill(pid, signal.SIGKILL)
    await first.ended()
    await until("instance and registry are gone", lambda: not first.family(), 5.0)
    assert any(name.endswith("registry.sock") for name in stage.leftovers(first))
    second = await stage.gateway(mesh.text)
    assert await second.stop() == 0
    stage.assert_nothing_left(second)


@pytest_twisted.ensureDeferred
async def test_gateway_is_killed_and_started_at_once(stage: Stage) -> None:
    """The next gateway may come while the old one's children are still dying: it takes over all the same."""
    mesh = grocery("walmart-api-server", "walmart-pricing")
    first = await stage.gateway(mesh.text)
    first.send(signal.SIGKILL)
    second = await stage.gateway(mesh.text)
    assert (await stage.client(mesh.port).get(PRICE)).status == 200
    await until("the old instances are gone", lambda: not set(first.family()) - set(second.family()))
    assert await second.stop() == 0
    stage.assert_nothing_left(second)


@pytest_twisted.ensureDeferred
async def test_instance_is_killed_under_load(stage: Stage) -> None:
    """One of three is killed while requests keep coming: nobody who asks for something repeatable notices, and the
    instance is started again, registered, checked, and given requests."""
    mesh = grocery("walmart-pricing", changes=THREE)
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    assert (await client.post("/services/walmart-pricing/scale", {"instances": 3})).status == 202
    load = Load(client, PRICE)
    await load.until("three instances answer", lambda served: len(served) == 3)

    async def instances() -> dict[str, dict[str, Any]]:
        found = (await client.get("/status")).json["deployment"]["walmart-pricing"]["instances"]
        return {each["id"]: each for each in found}

    async def lives_again(name: str, before: int) -> bool:
        now = (await instances())[name]
        return now["pid"] not in (None, before) and now["healthy"]

    for name, victim in (await instances()).items():
        os.kill(victim["pid"], signal.SIGKILL)
        await until(f"{name} lives again", partial(lives_again, name, victim["pid"]), 20.0)
        await load.until("it answers again", lambda served, name=name: served[name] > 2)
    await load.stop()
    print(f"{load.served.total()} answers, {len(load.failures)} failures")
    assert load.failures == []
    assert any(re.search(r"killed by SIGKILL; starting it again in", line) for line in program.lines)
    assert (await client.get("/health")).json["status"] == "healthy"


@pytest_twisted.ensureDeferred
async def test_instance_hangs_under_load(stage: Stage) -> None:
    """One of three freezes: it still accepts connections, and never answers. Requests that reached it are tried
    elsewhere when their patience ends, checks take it out, and when it thaws it is taken back."""
    impatient = {
        "load_balancing_strategy": "round_robin",
        "min_instances": "3",
        "timeout_first_byte": "1s",
        "health_check_interval": "500ms",
        "health_check_fast_interval": "200ms",
        "health_check_timeout": "300ms",
    }
    mesh = grocery("walmart-pricing", changes={"service:walmart-pricing": {**impatient, **SEEN}})
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, PRICE)
    await load.until("three instances answer", lambda served: len(served) == 3)
    deployed = (await client.get("/status")).json["deployment"]["walmart-pricing"]["instances"]
    frozen = deployed[1]
    os.kill(frozen["pid"], signal.SIGSTOP)

    async def health() -> dict[str, str]:
        instances = (await client.get("/service-mesh/health/walmart-pricing")).json["instances"]
        return {each["id"]: each["health"] for each in instances}

    async def taken_out() -> bool:
        return (await health())[frozen["id"]] == "unhealthy"

    await until("it is taken out", taken_out)
    assert frozen["id"] not in await load.more(60)
    os.kill(frozen["pid"], signal.SIGCONT)
    await load.until("it answers again", lambda served: served[frozen["id"]] > 5)
    await load.stop()
    print(f"{load.served.total()} answers, {len(load.failures)} failures")
    assert load.failures == []
    assert not any("SIGKILL" in line for line in program.lines)


@pytest_twisted.ensureDeferred
async def test_only_instance_is_killed(stage: Stage) -> None:
    """With nobody else to ask, requests wait until it is back: clients notice a pause, and nothing else."""
    mesh = grocery("walmart-pricing", changes={"service:walmart-pricing": SEEN})
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, PRICE)
    await load.more(20)
    deployed = (await client.get("/status")).json["deployment"]["walmart-pricing"]
    os.kill(deployed["pids"][0], signal.SIGKILL)

    async def queued() -> Any:
        return (await client.get("/service-mesh/stats")).json["proxy"]["queued"]

    await until("requests wait for it", queued)
    await load.more(100, 20.0)
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_registry_is_killed(stage: Stage) -> None:
    """Traffic does not need the registry: while it is away, and when it comes back empty, every request is answered.
    It comes back by itself, and everybody is in it again."""
    mesh = grocery("walmart-api-server", "walmart-pricing")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)

    async def registry() -> dict[str, Any]:
        return (await client.get("/status")).json["registry"]

    async def back(restarts: int) -> bool:
        now = await registry()
        return now["restarts"] == restarts and now["connected"] and now["instances"] == 2

    before = await registry()
    assert before["instances"] == 2
    load = Load(client, PRICE)
    await load.more(20)
    for restarts in (1, 2):
        known = await registry()
        os.kill(known["pid"], signal.SIGKILL)

        await until("the registry is back, with both instances", partial(back, restarts), 20.0)
        await load.more(20)
    await load.stop()
    assert load.failures == []
    assert (await registry())["pid"] != before["pid"]
    status = (await client.get("/status")).json
    assert sum(service["restarts"] for service in status["deployment"].values()) == 0
    assert any("The embedded registry ended (signal 9)" in line for line in program.complaints)
