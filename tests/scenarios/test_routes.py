"""Two routes to one service that differ in their options, through the real gateway."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from tests.scenarios.sick import OK, bad, closes, mesh_of, stats
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

PAY = {"route:pay": {"service": "x", "match": "/pay/", "retry_attempts": "0", "timeout_first_byte": "5m"}}


@pytest_twisted.ensureDeferred
async def test_one_route_without_retries(stage: Stage) -> None:
    """One of two instances is bad: on the service's own route nobody notices, on the other one half of them do."""
    good, sick = stage.instance("good"), bad(stage, closes())
    mesh = mesh_of(good.address, sick.address, more=PAY)
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    usual = [(await client.get(f"/a/{number}")).status for number in range(10)]
    assert usual == [200] * 10
    retried = (await stats(client))["retries"]
    assert retried == len(sick.heads) > 0
    answers = [await client.get(f"/pay/{number}") for number in range(10)]
    assert sorted(answer.status for answer in answers) == [200] * 5 + [502] * 5
    assert (await stats(client))["retries"] == retried
    lost = next(answer for answer in answers if answer.status == 502)
    decision = (await client.get(f"/service-mesh/decisions/{lost.headers['x-request-id']}")).json
    assert decision["steps"][-1]["what"] == "not tried again: retry_attempts = 0, which is never"


@pytest_twisted.ensureDeferred
async def test_each_has_its_own_times(stage: Stage) -> None:
    """While a request on one route runs out of time, one on the other waits on, and gets its answer."""
    waiting: list[Any] = []
    slow = bad(stage, waiting.append)
    mesh = mesh_of(slow.address, more=PAY, timeout_first_byte="500ms", retry_attempts="0")
    await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    raw.send(b"GET /pay/1 HTTP/1.1\r\nHost: a\r\n\r\n")
    client = stage.client(mesh.port)
    await until("the instance has it", lambda: waiting)
    assert (await client.get("/a")).json["error"] == "instance_timeout"
    waiting[0].write(OK)
    assert (await raw.answer()).status == 200


@pytest_twisted.ensureDeferred
async def test_it_can_be_seen(stage: Stage) -> None:
    """The gateway tells which section a request goes by, and what holds for it; the instance sees the whole path."""
    shop = stage.instance("shop")
    pay = {"route:pay": {**PAY["route:pay"], "match": "/shop/pay/", "timeout_request": "3s"}}
    mesh = mesh_of(shop.address, more=pay, routes="/shop/", strip_prefix="yes")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    found = (await client.get("/service-mesh/explain?path=/shop/pay/1")).json
    assert (found["section"], found["target"], found["route"]) == ("route:pay", "/pay/1", "/shop/pay/")
    assert found["overridden"] == ["retry_attempts", "timeout_first_byte", "timeout_request"]
    assert [found["options"][name] for name in found["overridden"]] == ["0", "5m", "3s"]
    assert (await client.get("/shop/pay/1")).json["path"] == "/pay/1"
    found = (await client.get("/service-mesh/explain?path=/shop/1")).json
    assert (found["section"], found["overridden"], found["options"]["retry_attempts"]) == (None, [], "2")
