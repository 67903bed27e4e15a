"""Several gateways that share a Redis (here: a Valkey of our own, on a TCP port)."""

from __future__ import annotations

import signal

import pytest_twisted

from tests.scenarios.clients import Client
from tests.scenarios.meshes import Mesh, grocery, static
from tests.scenarios.stage import Stage
from tests.scenarios.valkey import Valkey
from tests.scenarios.waiting import until

PRICE = "/walmart-pricing/api/price/12345"
SECRET = "s3cret-and-long"


def meshes(valkey: Valkey) -> tuple[Mesh, Mesh]:
    """One that launches pricing, and one that only knows that there is such a service."""
    registry = {"url": valkey.url(), "lease": "2s", "heartbeat": "500ms"}
    first = grocery("walmart-pricing", changes={"registry": registry})
    pricing = {"health_endpoint": "/health", "queue_length": "0"}
    second = static([], changes={"registry": registry, "service:walmart-pricing": pricing}, service=None)
    return first, second


async def answers(client: Client, status: int) -> bool:
    return (await client.get(PRICE)).status == status


@pytest_twisted.ensureDeferred
async def test_two_gateways(stage: Stage) -> None:
    """What one gateway launches, the other serves; an instance that is stopped is gone at both at once; one whose
    gateway is killed, when its checks fail or its lease ends. The server's password is never printed."""
    launching, looking = meshes(await stage.valkey(SECRET))
    second = await stage.gateway(looking.text, name="second", ready=False)
    await second.says("listening: ")
    client = stage.client(looking.port)
    await until("the second gateway knows of nobody", lambda: answers(client, 503))

    first = await stage.gateway(launching.text, name="first")
    await until("the second gateway serves what the first launched", lambda: answers(client, 200))
    assert await first.stop() == 0
    stage.assert_nothing_left(first)
    await until("it is gone at the second gateway", lambda: answers(client, 503), 3.0)

    again = await stage.gateway(launching.text, name="first")
    await until("it is back", lambda: answers(client, 200))
    again.send(signal.SIGKILL)
    await again.ended()

    async def forgotten() -> bool:
        return (await client.get("/services/walmart-pricing")).json["instances"] == []

    await until("its lease has ended", forgotten)
    assert await answers(client, 503)
    for program in (first, second, again):
        assert SECRET not in program.output, program.output


@pytest_twisted.ensureDeferred
async def test_server_goes_away(stage: Stage) -> None:
    """A gateway serves on what it knew when its registry goes, longer than a lease, and finds it again."""
    valkey = await stage.valkey(SECRET)
    launching, _ = meshes(valkey)
    await stage.gateway(launching.text)
    client = stage.client(launching.port)
    await valkey.kill()

    async def registry() -> str:
        return str((await client.get("/health")).json["registry"])

    async def disconnected() -> bool:
        assert await answers(client, 200)
        return await registry() == "disconnected"

    await until("the loss is noticed", disconnected)
    began = (await client.get("/status")).json["uptime_seconds"]

    async def longer_than_a_lease() -> bool:
        assert await answers(client, 200)
        return bool((await client.get("/status")).json["uptime_seconds"] > began + 3.0)

    await until("three seconds have passed", longer_than_a_lease)
    await valkey.start()

    async def connected() -> bool:
        assert await answers(client, 200)
        status = (await client.get("/status")).json["registry"]
        return bool(status["connected"] and status["instances"] == 1)

    await until("the registry is found again, and the instance is in it", connected, 20.0)
