"""More instances, and fewer, while requests keep coming."""

from __future__ import annotations

import pytest_twisted

from tests.scenarios.clients import Load
from tests.scenarios.meshes import SEEN, grocery
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

IN_TURN = {"service:walmart-pricing": {"load_balancing_strategy": "round_robin", **SEEN}}
SCALE = "/services/walmart-pricing/scale"


@pytest_twisted.ensureDeferred
async def test_up_and_down(stage: Stage) -> None:
    """From one to three and back, under load: the traffic spreads over whoever is there, nobody's request fails, and
    the surplus instances are gone from the registry and the process table."""
    mesh = grocery("walmart-pricing", changes=IN_TURN)
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/walmart-pricing/api/price/12345")
    alone = await load.more(20)
    assert set(alone) == {"walmart-pricing-1"}

    answer = await client.post(SCALE, {"instances": 3})
    assert answer.status == 202, answer
    assert (answer.json["before"], answer.json["target"]) == (1, 3)
    everybody = {f"walmart-pricing-{number}" for number in (1, 2, 3)}
    await load.until("three instances answer", lambda served: set(served) == everybody)
    spread = await load.more(300)
    assert all(80 <= spread[name] <= 120 for name in everybody), spread
    # The registry, two of them besides the first, the first.
    assert len(program.family()) == 4

    answer = await client.post(SCALE, {"instances": 1})
    assert answer.status == 202, answer
    await until("two instances have stopped", lambda: len(program.family()) == 2)
    alone = await load.more(20)
    assert set(alone) == {"walmart-pricing-1"}
    await load.stop()
    assert load.failures == []
    service = (await client.get("/services/walmart-pricing")).json
    assert [each["id"] for each in service["instances"]] == ["walmart-pricing-1"]
    stopped = {line for line in program.lines if line.endswith(" stopped")}
    assert stopped == {f"walmart-pricing: walmart-pricing-{number} stopped" for number in (2, 3)}


@pytest_twisted.ensureDeferred
async def test_down_waits_for_running_requests(stage: Stage) -> None:
    """An instance that has to go answers what it has begun to read, and takes nothing new meanwhile."""
    mesh = grocery("walmart-pricing", changes=IN_TURN)
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    await client.post(SCALE, {"instances": 3})
    load = Load(client, "/walmart-pricing/api/price/12345")
    await load.until("three instances answer", lambda served: len(served) == 3)
    await load.stop()
    # One to each, in turn: requests that have a body of which the last byte is missing.
    slow = [await stage.raw(mesh.port) for _ in range(3)]
    for raw in slow:
        raw.send(b"POST /walmart-pricing/ HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n1")

    async def in_flight() -> bool:
        instances = (await client.get("/services/walmart-pricing")).json["instances"]
        return [each["in_flight"] for each in instances] == [1, 1, 1]

    await until("each has a request", in_flight)
    await client.post(SCALE, {"instances": 1})
    after = Load(client, "/walmart-pricing/api/price/12345")
    assert set(await after.more(40)) == {"walmart-pricing-1"}
    await after.stop()
    assert after.failures == []
    assert len(program.family()) == 4
    for raw in slow:
        raw.send(b"2")
    answers = [await raw.answer() for raw in slow]
    assert [answer.status for answer in answers] == [405, 405, 405]
    assert len({answer.headers["x-served-by"] for answer in answers}) == 3
    await until("two instances have stopped", lambda: len(program.family()) == 2)


@pytest_twisted.ensureDeferred
async def test_refusals(stage: Stage) -> None:
    """Scaling that makes no sense is refused with a reason, and changes nothing."""
    mesh = grocery("walmart-pricing")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for path, document, status in (
        (SCALE, {"instances": 0}, 422),
        (SCALE, {"instances": 4}, 422),
        (SCALE, {"instances": True}, 400),
        (SCALE, {"instance": 2}, 400),
        ("/services/nobody/scale", {"instances": 1}, 404),
    ):
        answer = await client.post(path, document)
        assert answer.status == status, answer
        assert answer.json["reason"] and answer.json["request_id"]
    assert len(program.family()) == 2
