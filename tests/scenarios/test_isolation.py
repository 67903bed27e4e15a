"""One service is in trouble, and the others do not feel it: what it may take of the gateway is bounded.

Its instance accepts everything and answers nothing, and reads no more than a little of what is sent; hundreds of
clients push bodies at it all the same.
"""

from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from tests.scenarios.clients import Client, Load, Raw
from tests.scenarios.instances import BulkFactory
from tests.scenarios.meshes import static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

MIB = 1024 * 1024
BODY = bytes(MIB)
CLIENTS, CAP, QUEUE = 400, 100, 50
EACH = 256 * 1024
"""Bytes of memory for a request that is held back: windows on both sides, and the beginning of its body."""


async def counted(client: Client, service: str) -> tuple[int, int]:
    """(requests in flight, requests in the queue)."""
    found = (await client.get(f"/services/{service}")).json
    return found["in_flight"], found["queued"]


@pytest_twisted.ensureDeferred
async def test_a_service_that_hangs(stage: Stage) -> None:
    """Its requests in flight, its queue and the memory that they take are bounded, the rest is told so at once; every
    request to the other service succeeds; and when the clients leave, all is as it was."""
    hanging = BulkFactory(CLIENTS * MIB)
    hanging.stop_at = 1
    stage.at_end(hanging.close)
    good = stage.instance("good")
    patient = {"timeout_first_byte": "5m", "timeout_idle": "5m", "queue_timeout": "5m"}
    mesh = static(
        [good.address],
        changes={
            "service:bad": {
                "instances": f"127.0.0.1:{hanging.port}",
                "routes": "/bad/",
                "max_connections": str(CAP),
                "queue_length": str(QUEUE),
                **patient,
            }
        },
    )
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    await load.more(100)
    before = program.memory()

    head = b"POST /bad/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    crowd: list[Raw] = await gatherResults([Deferred.fromCoroutine(stage.raw(mesh.port)) for _ in range(CLIENTS)])
    for raw in crowd:
        raw.send(head)
        raw.send(BODY)
    refused = CLIENTS - CAP - QUEUE
    await until("all others are refused", lambda: sum(b" 503 " in raw.received for raw in crowd) >= refused)

    async def full() -> bool:
        return await counted(client, "bad") == (CAP, QUEUE)

    await until("as many are in flight and wait as may", full)
    assert {raw.received.partition(b"\r\n")[0] for raw in crowd if raw.received} == {
        b"HTTP/1.1 503 Service Unavailable"
    }
    assert sum(b"queue_full" in raw.received for raw in crowd) == refused

    async def connected() -> bool:
        return sum(each.received > 0 for each in hanging.connections) >= CAP

    await until("those in flight have reached it", connected)
    # Checks have connections of their own.
    assert sum(each.received > 0 for each in hanging.connections) == CAP
    served = await load.more(300)
    assert set(served) == {"good"}
    grown = program.memory() - before
    assert grown < (CAP + QUEUE) * EACH, f"{grown / MIB:.0f} MiB more for {CLIENTS} bodies of 1 MiB"

    for raw in crowd:
        raw.abort()

    async def gone() -> bool:
        return await counted(client, "bad") == (0, 0)

    await until("nothing is left of them", gone)
    await load.more(50)
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_without_a_word(stage: Stage) -> None:
    """Who says nothing has a limit all the same; WebSockets, which stay, have none."""
    one = stage.instance("one")
    sockets = {"instances": one.address, "routes": "/ws/", "protocol": "websocket"}
    mesh = static([one.address], changes={"service:sockets": sockets})
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    limits = [(await client.get(f"/services/{name}")).json["max_connections"] for name in ("x", "sockets")]
    assert limits == [1024, 0]
