"""The six services of the grocery come up, and each does its small job through the gateway. One mesh for all of these,
because they only look."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint

from tests.scenarios.clients import Client
from tests.scenarios.meshes import NAMES, Mesh, grocery
from tests.scenarios.program import Program
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until, within

network: Any = reactor


@dataclass
class Grocery:
    mesh: Mesh
    program: Program
    client: Client


@pytest_twisted.async_yield_fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Grocery]:
    stage = Stage(tmp_path_factory.mktemp("grocery"))
    try:
        mesh = grocery()
        program = await stage.gateway(mesh.text)
        yield Grocery(mesh, program, stage.client(mesh.port))
    finally:
        await stage.close()


@pytest_twisted.ensureDeferred
async def test_start(shop: Grocery) -> None:
    """What is printed at the start is one line a step: the registry, the listener, each service after what it depends
    on, and at the end the URL."""
    lines = [line for line in shop.program.lines if not line.startswith("[")]
    assert lines[0].startswith("registry: embedded at unix:")
    assert lines[1] == f"listening: http://localhost:{shop.mesh.port}/"
    steps = [re.fullmatch(r"(\S+): 1 of 1 healthy at \S+:\d+ \(\d+\.\d s\)", line) for line in lines[2:8]]
    assert all(steps), lines
    order = [step[1] for step in steps if step]
    assert sorted(order) == sorted(NAMES)
    for service, dependency in (
        ("walmart-websocket", "walmart-api-server"),
        ("walmart-pricing", "walmart-api-server"),
        ("walmart-nlp-queue", "walmart-api-server"),
        ("walmart-cache-warmer", "walmart-pricing"),
    ):
        assert order.index(dependency) < order.index(service), order
    assert lines[8] == "6 of 6 services are healthy"
    assert lines[9] == f"grocery is ready: http://localhost:{shop.mesh.port}/"
    assert all("this version" in line for line in shop.program.complaints), shop.program.complaints


@pytest_twisted.ensureDeferred
async def test_price(shop: Grocery) -> None:
    """A price, with the ETag that spares sending it again, the gateway's own fields, and no trace of the prefix."""
    path = "/walmart-pricing/api/price/12345"
    answer = await shop.client.get(path)
    assert answer.status == 200, answer
    assert answer.json["sku"] == "12345"
    assert answer.json["price"] > 0
    assert answer.headers["x-served-by"] == "walmart-pricing-1"
    assert answer.headers["via"] == "1.1 grocery"
    assert answer.headers["x-request-id"]

    async def not_modified() -> bool:
        # The price may change just between the two requests; then it may not be told as unchanged.
        known = (await shop.client.get(path)).headers["etag"]
        again = await shop.client.get(path, If_None_Match=known)
        assert again.status == 304 or again.headers["etag"] != known, again
        return again.status == 304 and not again.body

    await until("an ETag is recognised", not_modified)
    missing = await shop.client.get("/walmart-pricing/api/price/nothing")
    assert (missing.status, missing.json["error"]) == (404, "unknown_sku")
    nowhere = await shop.client.get("/nowhere")
    assert (nowhere.status, nowhere.json["error"]) == (404, "no_route")
    assert nowhere.json["request_id"] == nowhere.headers["x-request-id"]


@pytest_twisted.ensureDeferred
async def test_product(shop: Grocery) -> None:
    """The API server shows a price that it asked of pricing, through the mesh, under the same request id."""

    async def asked() -> int:
        stats = (await shop.client.get("/service-mesh/stats")).json
        return int(stats["proxy"]["services"]["walmart-pricing"]["requests_total"])

    before = await asked()
    product = await shop.client.get("/walmart-api-server/api/products/12345")
    assert product.status == 200, product
    assert product.json["name"] == "Whole milk"
    assert product.json["price"] > 0, product
    assert await asked() > before


@pytest_twisted.ensureDeferred
async def test_cart(shop: Grocery) -> None:
    """A cart is made, filled, priced and emptied."""
    made = await shop.client.post("/walmart-api-server/api/carts")
    assert made.status == 201, made
    cart = f"/walmart-api-server/api/carts/{made.json['id']}"
    filled = await shop.client.post(f"{cart}/items", {"sku": "12345", "quantity": 2})
    assert filled.status == 200, filled
    (line,) = filled.json["items"]
    assert filled.json["total"] == pytest.approx(2 * line["price"])
    refused = await shop.client.post(f"{cart}/items", {"sku": "12345", "quantity": 0})
    assert refused.status == 422, refused
    emptied = await shop.client.ask("DELETE", f"{cart}/items/12345")
    assert emptied.json["items"] == []
    assert (await shop.client.get(cart)).json["items"] == []


@pytest_twisted.ensureDeferred
async def test_text(shop: Grocery) -> None:
    """A text is queued, parsed into items, and the result is there by its id."""
    text = "2 lbs of chicken breast and a dozen eggs"
    accepted = await shop.client.post("/walmart-nlp-queue/api/parse", {"text": text})
    assert accepted.status == 202, accepted

    async def result() -> Any:
        found = (await shop.client.get(f"/walmart-nlp-queue/api/result/{accepted.json['id']}")).json
        return found if found["status"] != "pending" else None

    done = await until("the text is parsed", result)
    assert done["status"] == "done", done
    assert len(done["items"]) == 2, done
    assert "chicken" in json.dumps(done["items"][0])


@pytest_twisted.ensureDeferred
async def test_warmth(shop: Grocery) -> None:
    """The cache warmer asks for the popular prices through the gateway, and all of them answer."""
    assert (await shop.client.post("/walmart-cache-warmer/api/warm")).status == 202

    async def all_warm() -> bool:
        prices = (await shop.client.get("/walmart-cache-warmer/api/warmed")).json["prices"]
        return len(prices) > 3 and all(price["status"] == 200 for price in prices.values())

    await until("every popular price is warm", all_warm)


@pytest_twisted.ensureDeferred
async def test_memory_of_all(shop: Grocery) -> None:
    """The memory monitor shows what each of the six instances uses, as heartbeats report it to the mesh."""

    async def all_known() -> Any:
        services = (await shop.client.get("/walmart-memory-monitor/api/memory")).json["services"]
        return len(services) == 6 and all(service["memory_bytes"] > 1_000_000 for service in services.values())

    await until("the memory of six services is known", all_known, 20.0)
    one = (await shop.client.get("/walmart-memory-monitor/api/memory/walmart-pricing")).json
    assert one["instances"][0]["id"] == "walmart-pricing-1"
    own = (await shop.client.get("/walmart-pricing/health")).json
    assert own["status"] == "healthy"


@pytest_twisted.ensureDeferred
async def test_admin_documents(shop: Grocery) -> None:
    """/health, /status, /service-mesh/stats and /service-mesh/health answer alike on both ports, with what the
    documentation promises."""
    for port in (shop.mesh.port, shop.mesh.admin):
        client = Client(f"http://127.0.0.1:{port}")
        health = await client.get("/health")
        assert (health.status, health.json["status"], health.json["serving"]) == (200, "healthy", True), health
        assert health.json["services"] == dict.fromkeys(NAMES, "healthy")
        status = (await client.get("/status")).json
        assert status["name"] == "grocery"
        assert status["pid"] == shop.program.pid
        assert status["registry"]["connected"] is True
        assert status["registry"]["instances"] == 6
        assert set(status["services"]) == set(NAMES)
        assert status["deployment"]["walmart-pricing"]["desired"] == 1
        stats = (await client.get("/service-mesh/stats")).json
        assert set(stats) >= {"discovery", "load_balancer", "proxy", "services", "uptime_seconds"}
        assert stats["discovery"]["healthy_instances"] == 6
        assert stats["discovery"]["checks"]["passed"] >= 6
        assert set(stats["load_balancer"]["services"]) == set(NAMES)
        assert stats["proxy"]["requests_total"] > 0
        verdicts = (await client.get("/service-mesh/health")).json
        assert verdicts["status"] == "healthy"
        for name in NAMES:
            (instance,) = verdicts["services"][name]["instances"]
            assert (instance["available"], instance["reasons"]) == (True, []), instance
        one = (await client.get("/services/walmart-pricing")).json
        assert one["strategy"] == "weighted_round_robin"
        assert (await client.get("/services/nobody")).status == 404
        await client.close()


class Listener(WebSocketClientProtocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[dict[str, Any]] = []
        self.opened = False
        self.ended: tuple[bool, int | None] | None = None

    def onOpen(self) -> None:
        self.opened = True

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.heard.append({"binary": payload} if isBinary else json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.ended = (wasClean, code)

    async def hears(self, what: str, seconds: float = 10.0, **members: Any) -> dict[str, Any]:
        """The first message that has these members."""

        def look() -> dict[str, Any] | None:
            return next((each for each in self.heard if each.items() >= members.items()), None)

        return await until(what, look, seconds)


async def listen(port: int, path: str) -> Listener:
    factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}{path}", reactor=network)
    factory.protocol = Listener
    listener: Listener = await within(
        "the gateway takes a connection", TCP4ClientEndpoint(network, "127.0.0.1", port).connect(factory)
    )
    await until("the WebSocket opens", lambda: listener.opened or listener.ended)
    assert listener.opened, listener.ended
    return listener


@pytest_twisted.ensureDeferred
async def test_echo(shop: Grocery) -> None:
    """Messages of every size, text and binary, come back through the gateway as they were, and both ends agree on the
    end."""
    listener = await listen(shop.mesh.port, "/walmart-websocket/echo")
    texts = [{"text": "x" * size, "number": number} for number, size in enumerate((0, 1, 125, 126, 65000))]
    for text in texts:
        listener.sendMessage(json.dumps(text).encode())
    listener.sendMessage(bytes(range(256)) * 200, isBinary=True)
    await until("six echoes come", lambda: len(listener.heard) == 6)
    assert listener.heard == [*texts, {"binary": bytes(range(256)) * 200}]
    listener.sendClose(1000)
    await until("the connection is closed", lambda: listener.ended)
    assert listener.ended == (True, 1000)


@pytest_twisted.ensureDeferred
async def test_price_pushes(shop: Grocery) -> None:
    """Who listens at the feed is welcomed, gets all prices, and hears of each that changes; his own words come back."""
    listener = await listen(shop.mesh.port, "/walmart-websocket/")
    welcome = await listener.hears("a welcome", type="welcome")
    assert welcome["served_by"] == "walmart-websocket-1"
    if not welcome["prices"]:
        await listener.hears("the prices", type="prices")
    listener.sendMessage(b'{"hello": "shop"}')
    await listener.hears("an echo", hello="shop")
    # Twenty products change each 30 seconds, each at its own time; not every change is one of the rounded price.
    change = await listener.hears("the change of a price", 40.0, type="price")
    assert change["price"] != change["previous"]
    listener.sendClose(1000)
    await until("the connection is closed", lambda: listener.ended)


@pytest_twisted.ensureDeferred
async def test_plain_request_to_websocket_service(shop: Grocery) -> None:
    """A WebSocket service answers ordinary requests as well; asking for a socket where there is none is refused."""
    plain = await shop.client.get("/walmart-websocket/api/feed")
    assert plain.status == 200, plain
    assert (await shop.client.get("/walmart-websocket/ws")).status == 426
