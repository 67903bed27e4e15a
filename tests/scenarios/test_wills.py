"""What an operator says to one gateway is obeyed by all that share its registry, through restarts and outages."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
import pytest_twisted

from tests.scenarios.clients import Client, Load
from tests.scenarios.instances import Instance
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

SECRET = "s3cret-and-long"
STATE = "/services/x/instances/{}/state"
GUEST = "/service-mesh/registry/x/guest-1"


def mesh_at(registry: str, *instances: Instance) -> Mesh:
    settings = {"slow_start": "0", "health_check_interval": "200ms"}
    return static(
        [one.address for one in instances],
        changes={
            "mesh": {"state_dir": "."},
            "registry": {"url": registry, "lease": "2s", "heartbeat": "500ms"},
            "service:x": settings,
        },
    )


async def report(client: Client, id: str) -> Any:
    for one in (await client.get("/services/x")).json["instances"]:
        if one["id"] == id:
            return one
    return None


async def passes(load: Load, name: str) -> None:
    """From some moment on, nobody is sent there any more."""

    async def none_of_many() -> bool:
        return name not in await load.more(50)

    await until(f"nobody is sent to {name}", none_of_many)


@pytest_twisted.ensureDeferred
async def test_two_gateways(stage: Stage) -> None:
    """Drained at one gateway, an instance gets nothing from the other either; the first is restarted and has not
    forgotten; made ready at the other, it serves at both. No request fails, from beginning to end."""
    valkey = await stage.valkey(SECRET)
    one, two = stage.instance("one"), stage.instance("two")
    first_mesh, second_mesh = mesh_at(valkey.url(), one, two), mesh_at(valkey.url(), one, two)
    first = await stage.gateway(first_mesh.text, name="first")
    await stage.gateway(second_mesh.text, name="second")
    at_first, at_second = stage.client(first_mesh.port), stage.client(second_mesh.port)
    loads = [Load(at_first, "/"), Load(at_second, "/")]
    for load in loads:
        await load.until("both serve", lambda served: len(served) == 2)

    answer = await at_first.post(STATE.format(two.address), {"state": "drain", "weight": 7})
    assert (answer.status, answer.json.get("written"), answer.json.get("problem")) == (200, True, None), answer
    for load in loads:
        await passes(load, "two")
    seen = await report(at_second, two.address)
    assert (seen["admin"], seen["weight"]) == ("drain", 7)
    assert seen["admin_by"].startswith("127.0.0.1 at ") and seen["weight_by"] == seen["admin_by"]
    explained = (await at_second.get("/service-mesh/explain?service=x")).json
    [reason] = explained["excluded"][0]["reasons"]
    assert reason.startswith("admin state is drain, for ") and reason.endswith(f", by {seen['admin_by']}"), reason

    await loads[0].stop()
    assert await first.stop() == 0
    first = await stage.gateway(first_mesh.text, name="first")
    at_first = stage.client(first_mesh.port)
    again = await report(at_first, two.address)
    assert (again["admin"], again["weight"], again["admin_by"]) == ("drain", 7, seen["admin_by"])
    assert again["admin_since_seconds"] >= seen["admin_since_seconds"]
    loads.append(Load(at_first, "/"))
    assert set(await loads[-1].more(50)) == {"one"}

    answer = await at_second.post(STATE.format(two.address), {"state": "ready", "weight": None})
    assert answer.status == 200
    for load in loads[1:]:
        await load.until("both serve again", lambda served: len(served) == 2)
    again = await report(at_first, two.address)
    assert (again["admin"], again["weight"]) == ("ready", 1)
    for load in loads[1:]:
        await load.stop()
    assert [load.failures for load in loads] == [[], [], []]
    assert first.running


@pytest_twisted.ensureDeferred
async def test_the_registry_is_away(stage: Stage) -> None:
    """What is said then holds here at once, and the answer says that nobody else knows; not even a restart forgets it;
    and when Redis is back, with nothing in it, all obey."""
    valkey = await stage.valkey(SECRET)
    one, two = stage.instance("one"), stage.instance("two")
    first_mesh, second_mesh = mesh_at(valkey.url(), one, two), mesh_at(valkey.url(), one, two)
    first = await stage.gateway(first_mesh.text, name="first")
    await stage.gateway(second_mesh.text, name="second")
    at_first, at_second = stage.client(first_mesh.port), stage.client(second_mesh.port)
    load = Load(at_second, "/")
    await valkey.kill()

    async def noticed() -> bool:
        return bool((await at_first.get("/health")).json["registry"] == "disconnected")

    await until("the loss is noticed", noticed)
    answer = await at_first.post(STATE.format(two.address), {"state": "maint"})
    assert (answer.status, answer.json["admin"], answer.json["written"]) == (202, "maint", False), answer
    assert answer.json["problem"] and SECRET not in answer.body.decode()
    wills = (await at_first.get("/status")).json["registry"]["wills"]
    assert (wills["known"], wills["owed"]) == (1, 1)
    assert set(await load.more(50)) == {"one", "two"}
    first.send(signal.SIGKILL)
    await first.ended()
    first = await stage.gateway(first_mesh.text, name="first")
    at_first = stage.client(first_mesh.port)
    assert (await report(at_first, two.address))["admin"] == "maint"

    await valkey.start()
    await passes(load, "two")
    await load.stop()
    assert load.failures == []

    async def settled() -> bool:
        wills = (await at_first.get("/status")).json["registry"]["wills"]
        return (wills["owed"], wills["problem"]) == (0, None)

    await until("nothing is owed", settled)


@pytest.mark.parametrize("registry", ["memory:", "embedded:"])
@pytest_twisted.ensureDeferred
async def test_one_gateway(registry: str, stage: Stage) -> None:
    """A gateway on its own remembers as well, by its file; also of who registers anew under his id, and of who is not
    there any more, until "ready" is said."""
    two = stage.instance("two")
    mesh = mesh_at(registry, two)
    port = stage.instance("one").address.rpartition(":")[2]
    document = json.dumps({"host": "127.0.0.1", "port": int(port), "ttl": 60}).encode()
    path = STATE.format("guest-1")

    async def there(client: Client) -> bool:
        answer = await client.ask("PUT", GUEST, document, {"Content-Type": "application/json"})
        return answer.status in (200, 201)

    program = await stage.gateway(mesh.text)
    stage.keep(stage.folder() / "registry-snapshot.json")
    client = stage.client(mesh.port)
    await until("it is registered", lambda: there(client))
    await until("both serve", lambda: both(client))
    for one in (STATE.format(two.address), path):
        assert (await client.post(one, {"state": "drain"})).json["written"]
    assert (await client.get("/")).status == 503
    assert await program.stop() == 0

    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    await until("it is registered", lambda: there(client))
    assert (await report(client, "guest-1"))["admin"] == "drain"
    assert (await client.get("/")).status == 503
    assert (await client.ask("DELETE", GUEST)).status == 200
    absent = (await client.get("/services/x")).json["absent"]
    assert [(one["id"], one["admin"]["is"]) for one in absent] == [("guest-1", "drain")]
    answer = await client.post(path, {"state": "ready"})
    assert (answer.status, answer.json["present"]) == (200, False)
    await until("it is registered", lambda: there(client))
    await until("it serves", lambda: serves(client))
    assert (await client.get("/")).headers["x-served-by"] == "one"
    assert (await client.post(STATE.format("guest-2"), {"state": "drain"})).status == 404


async def both(client: Client) -> bool:
    return {(await client.get("/")).headers.get("x-served-by") for _ in range(4)} == {"one", "two"}


async def serves(client: Client) -> bool:
    return (await client.get("/")).status == 200


@pytest_twisted.ensureDeferred
async def test_written_by_hand(stage: Stage) -> None:
    """Nonsense in Redis is passed over with one warning, drains nobody, and is replaced by the next word; the admin
    side of the gateway obeys nobody from outside."""
    valkey = await stage.valkey(SECRET)
    one, two = stage.instance("one"), stage.instance("two")
    mesh = mesh_at(valkey.url(), one, two)
    will = '{"v":1,"until":9000000000000,"state":{"is":"%s","since":5,"by":"me"}}'
    valkey.ask("HSET", "{wmesh}:wills", f"x/{two.address}", will % "asleep", "wmesh-admin/self", will % "drain")
    program = await stage.gateway(mesh.text)
    await program.says("A will in the registry is passed over")
    client = stage.client(mesh.port)
    load = Load(client, "/")
    await load.until("both serve", lambda served: len(served) == 2)
    assert (await client.post(STATE.format(two.address), {"state": "drain"})).status == 200
    await passes(load, "two")
    await load.stop()
    assert load.failures == []
    assert b'"is":"drain"' in valkey.ask("HGET", "{wmesh}:wills", f"x/{two.address}")
    assert program.output.count("A will in the registry is passed over") == 1
