"""An address changes hands while a lease on it still runs: whoever took it over gets no requests that were not his."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import pytest_twisted

from tests.children import Child, spawn
from tests.ports import free_port
from tests.scenarios.clients import Load
from tests.scenarios.meshes import ROOT
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until
from wmesh.control.guard import guarded

CONFIG = """
[mesh]
state_dir = .
[gateway]
listen = tcp:{public}:interface=127.0.0.1
admin_listen = tcp:{admin}:interface=127.0.0.1
[registry]
url = embedded:
[service:pricing]
health_endpoint = /health
health_check_interval = 300ms
health_check_fast_interval = 50ms
strip_prefix = yes
routes = /pricing/
"""


def pricing(stage: Stage, port: int, id: str, incarnation: str = "") -> Child:
    """A pricing service that was told this of itself."""
    program = str(ROOT / "examples" / "grocery" / "pricing.py")
    argv = guarded([sys.executable, program, "--port", str(port)])
    child = spawn(argv, stage.folder(), WMESH_INSTANCE_ID=id, WMESH_INCARNATION=incarnation)
    stage.at_end(lambda: child.signal(signal.SIGKILL))
    return child


class Mesh:
    """A gateway, and what it says of the one instance that is registered, for longer than any scenario takes."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.place = free_port()
        self.public = free_port()
        self.client = stage.client(self.public)

    async def begin(self) -> None:
        # What the gateway remembers of its registry is there to stay.
        self.stage.keep(self.stage.folder() / "registry-snapshot.json")
        program = self.stage.launch(CONFIG.format(public=self.public, admin=free_port()))
        # "Ready" it is when all services are healthy, and this one waits for us.
        await program.says("listening: ")

    async def register(self, id: str) -> Any:
        body = json.dumps({"host": "127.0.0.1", "port": self.place, "ttl": 60}).encode()
        path = f"/service-mesh/registry/pricing/{id}"
        answer = await self.client.ask("PUT", path, body, {"Content_Type": "application/json"})
        assert answer.status in (200, 201), answer
        return answer.json

    async def instance(self) -> Any:
        [instance] = (await self.client.get("/service-mesh/health/pricing")).json["instances"]
        return instance

    async def until(self, health: str, reason: str) -> None:
        async def look() -> bool:
            instance = await self.instance()
            return instance["health"] == health and reason in instance["last_result"]

        await until(f"pricing-1 is {health} ({reason})", look)

    async def checks_failed(self) -> int:
        failed: int = (await self.client.get("/services/pricing")).json["checks"]["failed"]
        return failed


@pytest_twisted.ensureDeferred
async def test_an_address_that_was_taken_over(stage: Stage) -> None:
    """An instance is killed, and another program of another id takes over its port before the lease ends. It answers
    checks well, and gets not one request; when the right one is back, it serves."""
    mesh = Mesh(stage)
    await mesh.begin()
    right = pricing(stage, mesh.place, "pricing-1")
    await mesh.register("pricing-1")
    load = Load(mesh.client, "/pricing/api/prices")
    await load.until("pricing-1 answers", lambda served: served["pricing-1"] > 20)
    await right.end()
    await mesh.until("unhealthy", "refused")
    wrong = pricing(stage, mesh.place, "pricing-2")
    await mesh.until("unhealthy", "answers as pricing-2, expected pricing-1")
    before = await mesh.checks_failed()

    async def checked() -> bool:
        return await mesh.checks_failed() > before + 5

    await until("the wrong one was checked often enough to be taken for healthy", checked)
    assert load.served["pricing-2"] == 0, load.served
    await wrong.end()
    pricing(stage, mesh.place, "pricing-1")
    await load.until("pricing-1 answers again", lambda served: served["pricing-1"] > 20)
    await load.stop()
    assert set(load.served) == {"pricing-1"}, load.served


@pytest_twisted.ensureDeferred
async def test_never_the_first_good_result(stage: Stage) -> None:
    """A record whose address belongs to somebody else already, or to an earlier life: it never becomes healthy, though
    for a new instance one good answer is enough."""
    mesh = Mesh(stage)
    await mesh.begin()
    wrong = pricing(stage, mesh.place, "pricing-2")
    await until("it listens", lambda: b" listens on " in wrong.output + wrong.errors)
    life = (await mesh.register("pricing-1"))["incarnation"]
    await mesh.until("unhealthy", "answers as pricing-2, expected pricing-1")
    await wrong.end()
    earlier = pricing(stage, mesh.place, "pricing-1", "of-old")
    await mesh.until("unhealthy", f"answers as pricing-1/of-old, expected pricing-1/{life}")
    answer = await mesh.client.get("/pricing/api/prices")
    assert answer.status == 503, answer
    await earlier.end()
    pricing(stage, mesh.place, "pricing-1", life)
    await mesh.until("healthy", "status 200")
    answer = await mesh.client.get("/pricing/api/prices")
    assert (answer.status, answer.headers["x-served-by"]) == (200, "pricing-1"), answer


@pytest_twisted.ensureDeferred
async def test_one_wrong_answer_is_enough(stage: Stage) -> None:
    """Of a healthy instance, too: no three in a row are waited for."""
    mesh = Mesh(stage)
    await mesh.begin()
    says = {"id": "pricing-1"}
    instance = stage.instance("pricing-1", mesh.place)
    say = instance._say

    def named(request: Any, status: int) -> None:
        request.setHeader("Wmesh-Instance", says["id"])
        say(request, status)

    instance._say = named  # type: ignore[method-assign]
    await mesh.register("pricing-1")
    await mesh.until("healthy", "status 200")
    before = await mesh.checks_failed()
    says["id"] = "pricing-2"
    await until("a check fails", lambda: _more(mesh, before))
    assert (await mesh.instance())["health"] == "unhealthy"
    assert (await mesh.client.get("/pricing/")).status == 503


async def _more(mesh: Mesh, before: int) -> bool:
    return await mesh.checks_failed() > before
