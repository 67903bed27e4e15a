"""What clients see when instances fail, in each way that an attempt can fail, through the real gateway."""

from __future__ import annotations

import time
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from tests.ports import free_port
from tests.scenarios.clients import Answer, Client
from tests.scenarios.sick import OK, bad, closes, mesh_of, says, stats
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import soon

network: Any = reactor

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\nbusy"

WAYS = {
    "resets": lambda transport: transport.abortConnection(),
    "closes": closes(),
    "says nothing": says(b""),
    "stops in its head": says(b"HTTP/1.1 200 OK\r\nContent-"),
    "closes in its head": closes(b"HTTP/1.1 200 OK\r\nContent-"),
    "speaks no HTTP": says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "has two lengths": says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok"),
    "never comes to an end of interim answers": says(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40),
    "has an endless head": says(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 12345678\r\n" * 10_000),
    "answers 503": says(BUSY),
}


async def several(client: Client, count: int, method: str = "GET") -> list[Answer]:
    return await gatherResults([soon(client.ask(method, f"/{number}")) for number in range(count)])


@pytest_twisted.ensureDeferred
async def test_one_of_two_is_bad(stage: Stage) -> None:
    """In whatever way it fails before the first byte: every GET succeeds, and no POST reaches two instances."""
    good = stage.instance("good")
    sick = bad(stage, says(b""))
    mesh = mesh_of(good.address, sick.address)
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for way, act in WAYS.items():
        sick.act = act
        sick.heads.clear()
        answers = await several(client, 12)
        assert [answer.status for answer in answers] == [200] * 12, (way, answers)
        assert sick.heads, way
        before = good.requests
        sick.heads.clear()
        posts = await several(client, 6, "POST")
        assert good.requests - before + len(sick.heads) == 6, way
        assert sick.heads, way
        assert sum(answer.status == 200 for answer in posts) == good.requests - before, way
        print(f"{way}: 12 of 12 GETs; POSTs {sorted(answer.status for answer in posts)}")


@pytest_twisted.ensureDeferred
async def test_one_of_two_refuses(stage: Stage) -> None:
    """Of a refused connection nothing was sent: POSTs succeed, too."""
    good = stage.instance("good")
    mesh = mesh_of(good.address, f"127.0.0.1:{free_port()}", health_check_enabled="no")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for method in ("GET", "POST"):
        assert {answer.status for answer in await several(client, 12, method)} == {200}
    assert (await stats(client))["retries"] >= 10


@pytest_twisted.ensureDeferred
async def test_an_outage_is_not_multiplied(stage: Stage) -> None:
    """Everybody answers 503, and is slow to do it: of 60 requests at once only a few are repeated. The client gets the
    instance's own answer with its wish."""

    def act(transport: Any) -> None:
        network.callLater(0.3, transport.write, BUSY)

    one, two = bad(stage, act), bad(stage, act)
    mesh = mesh_of(one.address, two.address, queue_length="1000", timeout_first_byte="5s")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    answers = await several(client, 60)
    asked = len(one.heads) + len(two.heads)
    seen = await stats(client)
    print(f"60 requests, {asked} attempts, {seen['retries']} retries, {seen['retries_denied']} denied")
    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["retry-after"] for answer in answers} == {"7"}
    assert 60 < asked <= 60 + 60 * 0.4, asked
    assert seen["retries"] == asked - 60
    assert seen["retries_denied"] > 0


@pytest_twisted.ensureDeferred
async def test_an_outage_that_answers_at_once(stage: Stage) -> None:
    """Everybody answers 503 at once, so that hardly anything is in flight, and nothing takes anybody out: beyond a
    hundred, no more than a fifth of the requests is repeated."""
    one, two = bad(stage, says(BUSY)), bad(stage, says(BUSY))
    off = {"circuit_breaker_enabled": "no", "outlier_detection": "no", "timeout_first_byte": "5s"}
    mesh = mesh_of(one.address, two.address, **off)
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    answers = [answer for _ in range(15) for answer in await several(client, 20)]
    asked = len(one.heads) + len(two.heads)
    print(f"300 requests, {asked} attempts")
    assert {answer.status for answer in answers} == {503}
    # Two spans of ten seconds at most, each with its hundred.
    assert 400 <= asked <= 300 + 2 * 100 + 60, asked


@pytest_twisted.ensureDeferred
async def test_never(stage: Stage) -> None:
    """retry_attempts = 0: half of the requests are lost with a bad one of two, and none is repeated."""
    good, sick = stage.instance("good"), bad(stage, closes())
    mesh = mesh_of(good.address, sick.address, retry_attempts="0")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    answers = [await client.get("/") for _ in range(10)]
    assert sorted(answer.status for answer in answers) == [200] * 5 + [502] * 5
    assert (await stats(client))["retries"] == 0


@pytest_twisted.ensureDeferred
async def test_time_in_all(stage: Stage) -> None:
    """With everybody hanging, and in the queue as well, a request ends when its time is over, and its client learns
    what it waited for. Instances are told how much was left."""
    hangs = bad(stage, says(b""))
    mesh = mesh_of(
        hangs.address,
        instance_max_connections="1",
        queue_timeout="1m",
        timeout_first_byte="1m",
        timeout_request="1s",
    )
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    began = time.monotonic()
    answers = await several(client, 3)
    assert time.monotonic() - began < 10.0
    assert [(answer.status, answer.json["error"]) for answer in answers] == [(504, "deadline_exceeded")] * 3
    reasons = " ".join(answer.json["reason"] for answer in answers)
    assert "it stood in the queue" in reasons
    assert f"{hangs.address} had not answered" in reasons
    assert b"\r\nX-Envoy-Expected-Rq-Timeout-Ms: 1000\r\n" in hangs.heads[0] + b"\r\n"
    assert (await stats(client))["expired"] == 3


@pytest_twisted.ensureDeferred
async def test_a_trusted_client_in_a_hurry(stage: Stage) -> None:
    """Its time counts, and what is left of it reaches the instance; nonsense is refused."""
    good, hangs = stage.instance("good"), bad(stage, says(b""))
    more = {
        "gateway": {"trusted_proxies": "127.0.0.1"},
        "service:hangs": {"instances": hangs.address, "timeout_first_byte": "1m"},
    }
    mesh = mesh_of(good.address, more=more)
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    answer = await client.get("/", X_Envoy_Expected_Rq_Timeout_Ms="2500")
    assert answer.json["headers"]["x-envoy-expected-rq-timeout-ms"] == "2500"
    answer = await client.get("/hangs/", X_Envoy_Expected_Rq_Timeout_Ms="300")
    assert (answer.status, "the 0.3 s that this request may take" in answer.json["reason"]) == (504, True)
    answer = await client.get("/", X_Envoy_Expected_Rq_Timeout_Ms="soon")
    assert (answer.status, "is not a number of milliseconds" in answer.json["reason"]) == (400, True)


@pytest_twisted.ensureDeferred
async def test_fallbacks(stage: Stage) -> None:
    """First another service, then, when that is gone as well, the fixed answer; and back again."""
    spare, sick = bad(stage, says(OK)), bad(stage, closes())
    more = {"service:spare": {"instances": spare.address, "health_check_enabled": "no"}}
    mesh = mesh_of(
        sick.address,
        more=more,
        fallback="service:spare",
        fallback_status="200",
        fallback_body='{"items": []}',
        fallback_type="application/json",
    )
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    assert (await client.get("/a/b?c=d")).body == b"ok"
    assert spare.heads[0].startswith(b"GET /a/b?c=d HTTP/1.1\r\n")
    before = len(sick.heads)
    assert (await client.post("/pay", {})).status == 502
    assert (len(sick.heads), len(spare.heads)) == (before + 1, 1)
    spare.act = closes()
    answer = await client.get("/")
    assert (answer.status, answer.json) == (200, {"items": []})
    assert answer.headers["content-type"] == "application/json"
    assert (await client.post("/pay", {})).json["error"] == "instance_closed_connection"
    sick.act = says(OK)
    assert (await client.get("/")).body == b"ok"
    assert (await stats(client))["fallbacks"] >= 2
