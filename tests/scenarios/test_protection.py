"""What keeps requests from bad instances, and clients with good ones: stickiness, will, breakers, queues, subsets; and
the answers to why.
"""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from tests.scenarios.clients import Answer, Client, Load
from tests.scenarios.instances import Instance
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import soon, until

STATE = "/services/x/instances/{}/state"


class Flaky(Instance):
    """Answers everything but checks with `status`."""

    status = 200

    def _say(self, request: Any, status: int) -> None:
        super()._say(request, status if request.path == b"/health" else self.status)


def mesh_of(*instances: Instance, gateway: dict[str, str] | None = None, **service: str) -> Mesh:
    return static([one.address for one in instances], changes={"gateway": gateway or {}, "service:x": service})


@pytest_twisted.ensureDeferred
async def test_sticky_over_a_restart(stage: Stage) -> None:
    """A client stays with its instance though the gateway is started anew, moves when that one is drained, and stays
    with the new one then. The cookie is not set again while nothing changes."""
    one, two = stage.instance("one"), stage.instance("two")
    changes = {"mesh": {"state_dir": "."}, "service:x": {"sticky_sessions": "yes"}}
    mesh = static([one.address, two.address], changes=changes)
    program = await stage.gateway(mesh.text)
    stage.keep(stage.folder() / "sticky.key")
    client = stage.client(mesh.port)
    first = await client.get("/")
    cookie = first.headers["set-cookie"].partition(";")[0]
    home = first.headers["x-served-by"]

    async def served(count: int, sent: str) -> list[Answer]:
        return [await client.get("/", Cookie=sent) for _ in range(count)]

    for answer in await served(6, cookie):
        assert (answer.headers["x-served-by"], answer.headers.get("set-cookie")) == (home, None)
    assert {answer.headers["x-served-by"] for answer in await served(4, "other=1")} == {"one", "two"}
    assert await program.stop() == 0

    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    for answer in await served(6, cookie):
        assert (answer.headers["x-served-by"], answer.headers.get("set-cookie")) == (home, None)

    address = {"one": one.address, "two": two.address}[home]
    assert (await client.post(STATE.format(address), {"state": "drain"})).status == 200
    [moved] = await served(1, cookie)
    away = moved.headers["x-served-by"]
    assert away != home
    cookie = moved.headers["set-cookie"].partition(";")[0]
    assert (await client.post(STATE.format(address), {"state": "ready"})).status == 200
    for answer in await served(6, cookie):
        assert answer.headers["x-served-by"] == away


@pytest_twisted.ensureDeferred
async def test_the_operators_will(stage: Stage) -> None:
    """Drained, an instance gets no more requests and finishes those it has; in maintenance it is not even checked; made
    ready it serves again; with another weight it gets its share."""
    one, two = stage.instance("one"), stage.instance("two")
    mesh = mesh_of(
        one,
        two,
        load_balancing_strategy="weighted_round_robin",
        health_check_interval="100ms",
        health_check_fast_interval="100ms",
        slow_start="0",
    )
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    path = STATE.format(two.address)
    running = [soon(client.get("/slow")) for _ in range(2)]
    await until("both have a request", lambda: one.waiting and two.waiting)
    answer = await client.post(path, {"state": "drain"})
    assert (answer.status, answer.json["admin"], answer.json["reasons"]) == (200, "drain", ["admin state is drain"])
    load = Load(client, "/")
    assert set(await load.more(50)) == {"one"}
    one.release(), two.release()
    assert {each.status for each in await gatherResults(running)} == {200}

    assert (await client.post(path, {"state": "maint"})).status == 200
    await until("checks of the other go on", lambda seen=one.checks: one.checks > seen + 2)  # type: ignore[misc]
    checks, others = two.checks, one.checks
    await until("many more checks of the other", lambda: one.checks > others + 5)
    assert two.checks == checks, "it is in maintenance and is checked all the same"

    answer = await client.post(path, {"state": "ready", "weight": 3})
    assert (answer.json["admin"], answer.json["weight"]) == ("ready", 3)
    await load.until("both answer", lambda served: len(served) == 2)
    served = await load.more(200)
    assert 2.5 < served["two"] / served["one"] < 3.5, served
    assert (await client.post(path, {"weight": None})).json["weight"] == 1
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_bad_orders(stage: Stage) -> None:
    """Each mistake has its own answer, and changes nothing."""
    one = stage.instance("one")
    mesh = mesh_of(one)
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    path = STATE.format(one.address)
    table: list[tuple[str, object, int, str]] = [
        (path, {"state": "off"}, 422, "ready, drain or maint"),
        (path, {"state": 1}, 400, '"state" must be'),
        (path, {"state": None}, 400, '"state" must be'),
        (path, {"weight": 0}, 422, "1 to 1000"),
        (path, {"weight": 1001}, 422, "1 to 1000"),
        (path, {"weight": "2"}, 400, "whole number"),
        (path, {"weight": True}, 400, "whole number"),
        (path, {"weight": 2.5}, 400, "whole number"),
        (path, {"state": "drain", "weight": 0}, 422, "1 to 1000"),
        (path, {}, 400, "nothing is asked for"),
        (path, {"status": "drain"}, 400, "unknown field 'status'"),
        (path, ["drain"], 400, "JSON object"),
        (STATE.format("nobody"), {"state": "drain"}, 404, one.address),
        (path.replace("/x/", "/y/"), {"state": "drain"}, 404, "y"),
        (path.replace("/x/", "/wmesh-admin/").replace(one.address, "self"), {"state": "maint"}, 404, "wmesh-admin"),
    ]
    for where, document, status, words in table:
        answer = await client.post(where, document)
        assert (answer.status, words in answer.json["reason"]) == (status, True), (where, document, answer)
    assert (await client.get(path)).status == 405
    assert (await client.get("/")).status == 200
    [instance] = (await client.get("/services/x")).json["instances"]
    assert (instance["admin"], instance["weight"]) == ("ready", 1)


@pytest_twisted.ensureDeferred
async def test_breaker_round_trip(stage: Stage) -> None:
    """An instance that answers 500 at once, and whose checks pass, is left alone; meanwhile nobody notices; when it is
    well again, a few trials bring it back."""
    good, bad = stage.instance("good"), Flaky("bad")
    stage.at_end(lambda: soon(bad.close()))
    mesh = mesh_of(
        good,
        bad,
        circuit_breaker_min_calls="5",
        circuit_breaker_reset_timeout="300ms",
        circuit_breaker_ramp="0",
        outlier_detection="no",
    )
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    bad.status = 500
    load = Load(client, "/")
    await program.says("circuit breaker open")
    seen = len(load.failures)
    assert seen <= 20, seen

    async def breaker() -> str:
        instances = (await client.get("/services/x")).json["instances"]
        return str(next(each["breaker"] for each in instances if each["address"] == bad.address))

    await until("its trial failed", lambda: program.output.count("circuit breaker open") > 1)
    explained = (await client.get("/service-mesh/explain?service=x")).json
    assert explained["candidates"], explained
    bad.status = 200
    await program.says("circuit breaker closed")
    await until("it is closed", lambda: soon_equal(breaker, "closed"))
    await load.until("both answer", lambda served: served["bad"] > 20 and served["good"] > 20)
    failures = len(load.failures)
    await load.more(100)
    await load.stop()
    assert len(load.failures) == failures, load.failures
    stats = (await client.get("/service-mesh/stats")).json["load_balancer"]["circuit_breaker_changes"]
    assert stats["open"] >= 2 and stats["closed"] == 1, stats


async def soon_equal(look: Any, wanted: object) -> bool:
    return bool(await look() == wanted)


@pytest_twisted.ensureDeferred
async def test_queue(stage: Stage) -> None:
    """Requests beyond the limit of the only instance wait and are answered in the order they came; one whose client has
    gone is not sent; when the queue is full, and when its time is over, the answer is 503 with a time to come again."""
    one = stage.instance("one")
    mesh = mesh_of(one, instance_max_connections="1", queue_length="3", queue_timeout="2s")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    running = soon(client.get("/slow"))
    await until("it is busy", lambda: one.waiting)

    async def queued(count: int) -> None:
        async def look() -> bool:
            return bool((await client.get("/services/x")).json["queued"] == count)

        await until(f"{count} wait", look)

    order: list[str] = []
    waiting: list[Deferred[Any]] = []
    for name in ("a", "b"):
        waiting.append(soon(client.get(f"/{name}")).addCallback(lambda got: order.append(got.json["path"]) or got))
        await queued(len(waiting))
    impatient = await stage.raw(mesh.port)
    impatient.send(b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
    await queued(3)
    full = await client.get("/full")
    assert (full.status, full.json["error"], full.headers["retry-after"]) == (503, "queue_full", "1")
    impatient.abort()
    await queued(2)
    one.release()
    answers = await gatherResults([running, *waiting])
    assert [answer.status for answer in answers] == [200] * 3
    assert order == ["/a", "/b"]
    assert one.requests == 3, "the request of a client that had gone was sent"
    steps = (await client.get(f"/service-mesh/decisions/{answers[1].headers['x-request-id']}")).json["steps"]
    assert steps[0]["what"].startswith("waits: "), steps

    running = soon(client.get("/slow"))
    await until("it is busy again", lambda: one.waiting)
    late = await client.get("/late")
    assert (late.status, late.json["error"], late.headers["retry-after"]) == (503, "queue_timeout", "1"), late
    one.release()
    assert (await running).status == 200


@pytest_twisted.ensureDeferred
async def test_subset_route(stage: Stage) -> None:
    """A route with a version sends its requests only to instances of that version; where there is none, it says so."""
    one, two = stage.instance("one"), stage.instance("two")
    mesh = mesh_of(one, two, version="1.0.0", tags="eu", routes="/, /old/ version=1.0.0 tag=eu, /new/ version=2.0.0")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    assert (await client.get("/old/x")).status == 200
    nobody = await client.get("/new/x")
    assert (nobody.status, nobody.json["error"]) == (503, "no_instances")
    assert "version=2.0.0" in nobody.json["reason"]
    why = (await client.get("/service-mesh/explain?path=/new/x")).json
    assert why["subset"] == "version=2.0.0"
    assert all("not of the subset version=2.0.0" in each["reasons"] for each in why["excluded"])
    assert len(why["excluded"]) == 2


@pytest_twisted.ensureDeferred
async def test_explain(stage: Stage) -> None:
    """Where a request would go, by the admin side and by the command; what became of one, by its id."""
    one, two = stage.instance("one"), stage.instance("two")
    two.check = lambda: 500
    mesh = mesh_of(one, two, routes="/shop/")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    why = (await client.get("/service-mesh/explain?path=/shop/cart&method=POST&client=203.0.113.9")).json
    assert (why["route"], why["service"], why["pick"]) == ("/shop/", "x", one.address)
    assert [each["id"] for each in why["candidates"]] == [one.address]
    assert "status 500" in str(why["excluded"]), why
    assert one.requests == 0
    assert (await client.get("/service-mesh/explain?path=/else")).json["service"] is None

    answer = await client.get("/shop/cart")
    asked = answer.headers["x-request-id"]
    became = (await client.get(f"/service-mesh/decisions/{asked}")).json
    assert (became["instance"], became["status"], became["target"]) == (one.address, 200, "/shop/cart")
    recent = (await client.get("/service-mesh/decisions?count=5")).json["decisions"]
    assert asked in [each["request_id"] for each in recent]

    for path, status, words in (
        ("/service-mesh/explain", 400, "either a service or a path"),
        ("/service-mesh/explain?service=x&path=/", 400, "either a service or a path"),
        ("/service-mesh/explain?service=y", 404, "y"),
        ("/service-mesh/explain?path=shop", 422, "not a request"),
        ("/service-mesh/explain?path=/a%20b", 422, "not a request"),
        ("/service-mesh/explain?path=/&header=x", 400, "NAME:VALUE"),
        ("/service-mesh/explain?path=/&header=a:b%0d%0ac", 422, "line break"),
        ("/service-mesh/explain?path=/&client=me", 400, "IP address"),
        ("/service-mesh/explain?path=/&colour=red", 400, "unknown parameter colour"),
        ("/service-mesh/explain?path=/&path=/a", 400, "more than once"),
        ("/service-mesh/decisions/nobody", 404, "nothing is remembered"),
        ("/service-mesh/decisions?count=0", 400, "1 to 1000"),
        ("/service-mesh/decisions?count=many", 400, "1 to 1000"),
    ):
        bad = await client.get(path)
        assert (bad.status, words in bad.json["reason"]) == (status, True), (path, bad)

    status, output = await command("/shop/cart", mesh)
    assert (status, "pick" in output, one.address in output, "status 500" in output) == (0, True, True, True), output
    status, output = await command("--request", mesh, asked)
    assert (status, "200 after" in output) == (0, True), output
    status, output = await command("/else", mesh)
    assert (status, "no route takes /else" in output) == (1, True), output


async def command(argument: str, mesh: Mesh, *more: str) -> tuple[int, str]:
    """`wmesh explain`: its exit status and what it says."""
    import sys

    from twisted.internet.utils import getProcessOutputAndValue

    code = "from wmesh.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    arguments = ["-c", code, "explain", argument, *more, "--admin", f"http://127.0.0.1:{mesh.admin}"]
    import os

    run: Any = getProcessOutputAndValue
    out, err, status = await run(sys.executable, arguments, env=os.environ)
    return status, (out + err).decode()


@pytest.mark.parametrize("trusted", [True, False])
@pytest_twisted.ensureDeferred
async def test_debug_header(stage: Stage, trusted: bool) -> None:
    """A trusted client that asks is told who was picked, and why; to anybody else nothing is told."""
    one = stage.instance("one")
    mesh = mesh_of(one, gateway={"trusted_proxies": "127.0.0.1"} if trusted else None)
    await stage.gateway(mesh.text)
    client: Client = stage.client(mesh.port)
    answer = await client.get("/", X_Wmesh_Debug="1")
    told = answer.headers.get("x-wmesh-decision")
    if trusted:
        assert told is not None
        assert told.startswith(f"instance={one.address}; attempts=1; round_robin of 1 candidates"), told
        assert "x-wmesh-decision" not in (await client.get("/")).headers
    else:
        assert told is None
