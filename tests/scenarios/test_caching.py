"""The cache through the whole program: what a client sees of it, what an operator can do, and what instances cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol

from tests.scenarios.clients import Answer, Client, Raw
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

network: Any = reactor

CROWD = 1000
OPTIONS = {
    "proxy_caching_enabled": "yes",
    "circuit_breaker_enabled": "no",
    "outlier_detection": "no",
    "health_check_interval": "1h",
}


class Said(Protocol):
    """Answers `/health`, and everything else with what `factory.act` says of the head, if anything."""

    factory: Origin

    def __init__(self) -> None:
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            if b" /health " in head:
                self.transport.write(answer(b"ok"))
                continue
            self.factory.heads.append(head)
            said = self.factory.act(head)
            if said is None:
                self.factory.waiting.append(self.transport)
            else:
                self.transport.write(said)
                if self.factory.closes:
                    self.transport.loseConnection()


class Origin(Factory):
    """An instance whose answers a scenario chooses. `waiting` are connections whose request it has not answered."""

    protocol = Said
    noisy = False

    def __init__(self, stage: Stage, act: Callable[[bytes], bytes | None]) -> None:
        self.act = act
        self.closes = False
        self.heads: list[bytes] = []
        self.waiting: list[Any] = []
        self._port: Any = network.listenTCP(0, self, interface="127.0.0.1")
        self.address = f"127.0.0.1:{self._port.getHost().port}"
        stage.at_end(self._port.stopListening)

    def mesh(self, **options: str) -> Mesh:
        return static([self.address], changes={"service:x": {**OPTIONS, **options}})


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    lines = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return lines.encode() + b"\r\n" + body


async def figures(client: Client) -> Any:
    return (await client.get("/service-mesh/stats")).json["cache"]


def told(found: Answer) -> str:
    return found.headers["cache-status"]


@pytest_twisted.ensureDeferred
async def test_a_day_of_a_page(stage: Stage) -> None:
    """Fetched, hit, validated, replaced, purged; and the figures tell it."""
    origin = Origin(stage, lambda head: answer(b"one", "Cache-Control: max-age=60", 'ETag: "1"', "Surrogate-Key: menu"))
    mesh = origin.mesh()
    await stage.gateway(mesh.text)
    client, admin = stage.client(mesh.port), stage.client(mesh.admin)
    assert told(await client.get("/a")) == "wmesh; fwd=uri-miss; fwd-status=200; stored"
    again = await client.get("/a")
    assert (again.body, told(again)[:15]) == (b"one", "wmesh; hit; ttl")
    assert (await client.get("/a", If_None_Match='"1"')).status == 304
    assert (await client.get("/a", Range="bytes=1-")).body == b"ne"
    assert (await client.ask("HEAD", "/a")).headers["content-length"] == "3"
    assert len(origin.heads) == 1

    origin.act = lambda head: b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nX-Checked: yes\r\n\r\n'
    checked = await client.get("/a", Cache_Control="no-cache")
    assert (checked.body, checked.headers["x-checked"]) == (b"one", "yes")
    assert b'If-None-Match: "1"' in origin.heads[-1]

    origin.act = lambda head: answer(b"two", "Cache-Control: max-age=60")
    assert (await client.get("/a", Cache_Control="no-cache")).body == b"two"
    await client.post("/a")
    asked = len(origin.heads)
    await client.get("/a")
    assert len(origin.heads) == asked + 1

    found = await figures(admin)
    assert (found["objects"], found["services"]["x"]["hits"], found["services"]["x"]["revalidated"]) == (1, 4, 1)
    assert (await admin.post("/services/x/purge", {"url": "/a"})).json == {"service": "x", "purged": 1}
    assert (await admin.post("/services/x/purge", {"path": "/a"})).status == 400
    assert (await admin.post("/services/y/purge", {"all": True})).status == 404
    assert (await figures(admin))["objects"] == 0


@pytest_twisted.ensureDeferred
async def test_an_instance_that_goes_away(stage: Stage) -> None:
    """What was kept stands in; what was not is a 502; when somebody answers again, so does he."""
    origin = Origin(stage, lambda head: answer(b"kept", "Cache-Control: max-age=0", 'ETag: "1"'))
    mesh = origin.mesh(retry_attempts="0")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    await client.get("/a")
    origin.act = lambda head: b""
    origin.closes = True
    stale = await client.get("/a")
    assert (stale.status, stale.body) == (200, b"kept")
    assert "stale-if-error" in told(stale)
    assert (await client.get("/b")).status == 502
    origin.act = lambda head: answer(b"back")
    assert (await client.get("/a")).body == b"back"


async def crowd(stage: Stage, origin: Origin, port: int, path: str) -> list[Raw]:
    """So many clients that ask for the same at once; the instance has their question, and says nothing yet."""
    clients = [await stage.raw(port) for _ in range(CROWD)]
    for one in clients:
        one.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return clients


@pytest_twisted.ensureDeferred
async def test_a_crowd_whose_fetch_fails(stage: Stage) -> None:
    """A thousand clients on one cold key: one request to the instance, and a thousand answers, each its own."""
    origin = Origin(stage, lambda head: None)
    mesh = origin.mesh(retry_attempts="0", proxy_cache_wait="1m", timeout_first_byte="1m")
    await stage.gateway(mesh.text)
    admin = stage.client(mesh.admin)
    clients = await crowd(stage, origin, mesh.port, "/cold")

    async def asked() -> int:
        return (await figures(admin))["services"]["x"]["misses"]

    while await asked() < CROWD:
        pass
    assert len(origin.heads) == 1
    origin.waiting.pop().abortConnection()
    answers = await gatherResults([Deferred.fromCoroutine(one.answer()) for one in clients])
    assert {found.status for found in answers} == {502}
    assert len({found.headers["x-request-id"] for found in answers}) == CROWD
    assert len(origin.heads) == 1

    # The next ones are answered, all by one more request.
    for one in clients:
        one.send(b"GET /cold HTTP/1.1\r\nHost: x\r\n\r\n")
    while await asked() < 2 * CROWD:
        pass
    origin.waiting.pop().write(answer(b"warm", "Cache-Control: max-age=60"))
    answers = await gatherResults([Deferred.fromCoroutine(one.answer()) for one in clients])
    assert {found.body for found in answers} == {b"warm"}
    assert len(origin.heads) == 2


@pytest_twisted.ensureDeferred
async def test_ten_thousand_variants(stage: Stage) -> None:
    """A client makes up a header that the answers depend on: each gets its own, and memory stays bounded."""

    def act(head: bytes) -> bytes:
        value = head.split(b"X-Kind: ")[1].split(b"\r\n")[0]
        return answer(value * 100, "Cache-Control: max-age=60", "Vary: X-Kind")

    origin = Origin(stage, act)
    mesh = origin.mesh()
    await stage.gateway(mesh.text)
    raw = await stage.raw(mesh.port)
    for first in range(0, 10_000, 500):
        kinds = [f"{number:05}" for number in range(first, first + 500)]
        raw.send("".join(f"GET /v HTTP/1.1\r\nHost: x\r\nX-Kind: {kind}\r\n\r\n" for kind in kinds).encode())
        for kind in kinds:
            assert (await raw.answer()).body == kind.encode() * 100
    found = await figures(stage.client(mesh.admin))
    assert found["objects"] <= 64
    assert found["size_bytes"] < 1_000_000


@pytest_twisted.ensureDeferred
async def test_instances_that_lie(stage: Stage) -> None:
    """A length that is not the body's, and heads that contradict themselves: no wrong answer is kept."""
    origin = Origin(stage, lambda head: b"")
    mesh = origin.mesh()
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)

    origin.closes = True
    origin.act = lambda head: b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nshort"
    raw = await stage.raw(mesh.port)
    raw.send(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
    assert await raw.closed() != "ConnectionDone"
    origin.closes = False
    origin.act = lambda head: answer(b"whole", "Cache-Control: max-age=60")
    assert (await client.get("/short")).body == b"whole"

    origin.act = lambda head: answer(b"long", "Cache-Control: max-age=60") + b"HTTP/1.1 200 OK\r\n\r\nnot yours"
    assert [(await client.get("/long")).body for _ in range(3)] == [b"long"] * 3

    for number, fields in enumerate(
        (
            ("Cache-Control: max-age=60, no-store", "Expires: Thu, 18 Aug 2050 02:01:18 GMT"),
            ("Cache-Control: max-age=60", "Cache-Control: max-age=0"),
            ("Cache-Control: max-age=1x",),
            ('Cache-Control: max-age="60',),
            ("Expires: tomorrow",),
            ("Expires: Thu, 18 Aug 2050 2:01:18 GMT",),
            ("Cache-Control: max-age=60", "Age: 9999999999999999999999"),
            ("Cache-Control: max-age=60", "Vary: ,*"),
            ("Cache-Control: max-age=60", "Vary: a b"),
            ('Cache-Control: ,,,;="', "Expires: -1", "Age: -5", "ETag: "),
        )
    ):
        origin.act = lambda head, fields=fields: answer(b"x", *fields)  # type: ignore[misc]
        origin.heads.clear()
        for _ in range(2):
            assert (await client.get(f"/{number}")).body == b"x"
        assert len(origin.heads) == 2, fields


@pytest_twisted.ensureDeferred
async def test_stale_while_it_is_asked_for(stage: Stage) -> None:
    """The client does not wait for the instance; the next one gets what it said meanwhile."""
    origin = Origin(
        stage, lambda head: answer(b"old", "Cache-Control: max-age=1, stale-while-revalidate=600", "Age: 5")
    )
    mesh = origin.mesh()
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    await client.get("/a")
    origin.act = lambda head: None
    for _ in range(5):
        assert (await client.get("/a")).body == b"old"
    await until("the instance is asked once", lambda: len(origin.heads) == 2)
    origin.waiting.pop().write(answer(b"new", "Cache-Control: max-age=600"))
    while (await client.get("/a")).body == b"old":
        pass
    assert len(origin.heads) == 2
