"""Instances that the DNS knows: a real name server whose records change, a real gateway, and clients that go on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted

from tests.scenarios.clients import Client, Load
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.names import NameServer, a, aaaa, srv
from tests.scenarios.program import Program
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until

NAME = "shop.test"
SERVICE = "_http._tcp.shop.test"
FAST = {"health_check_interval": "300ms", "health_check_fast_interval": "100ms"}


def name_server(stage: Stage) -> NameServer:
    names = NameServer()
    stage.at_end(names.stop)
    return names


def mesh_of(names: NameServer, *instances: str, hold: str = "5m") -> Mesh:
    return static(
        instances,
        changes={"mesh": {"dns_servers": names.address, "dns_hold": hold}, "service:x": FAST},
    )


async def source(client: Client) -> dict[str, Any]:
    """The one source, as /status and /service-mesh/stats show it."""
    (found,) = (await client.get("/status")).json["sources"]
    (again,) = (await client.get("/service-mesh/stats")).json["sources"]
    assert found.keys() == again.keys() and found["source"] == again["source"], (found, again)
    return dict(found)


async def source_is(client: Client, what: str, seen: Callable[[dict[str, Any]], bool], seconds: float = 15.0) -> None:
    async def look() -> bool:
        return seen(await source(client))

    await until(what, look, seconds)


def warnings(program: Program) -> list[str]:
    return [line for line in program.complaints if " x: dns:" in line or " x: srv:" in line]


@pytest_twisted.ensureDeferred
async def test_addresses_come_and_go(stage: Stage) -> None:
    """The first answer is there before the first client; an address that is added serves, one that is removed does not,
    and no request fails. Fixed addresses and a name are mixed."""
    names = name_server(stage)
    fixed, one = stage.instance("fixed"), stage.instance("one")
    stage.instance("two", one.port, "127.0.0.2")
    names.say(NAME, a("127.0.0.1"))
    mesh = mesh_of(names, fixed.address, f"dns:{NAME}:{one.port}")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    assert set(await load.more(60)) == {"fixed", "one"}

    names.say(NAME, a("127.0.0.1"), a("127.0.0.2"))
    await load.until("the new address serves", lambda served: len(served) == 3)
    before = {each["id"]: each for each in (await client.get("/services/x")).json["instances"]}
    names.say(NAME, a("127.0.0.2"))
    await source_is(client, "the address is gone", lambda found: found["instances"] == 1)
    assert set(await load.more(60)) == {"fixed", "two"}
    after = {each["id"]: each for each in (await client.get("/services/x")).json["instances"]}
    assert after.keys() == before.keys() - {one.address}
    assert after[f"127.0.0.2:{one.port}"]["picks"] > before[f"127.0.0.2:{one.port}"]["picks"]
    await load.stop()
    assert load.failures == []
    assert warnings(program) == []


@pytest_twisted.ensureDeferred
async def test_all_addresses_change_at_once(stage: Stage) -> None:
    """An answer that shares nothing with the last one: the old instance serves until the new one has passed a check."""
    names = name_server(stage)
    old = stage.instance("old")
    new = stage.instance("new", old.port, "127.0.0.2")
    names.say(NAME, a("127.0.0.1"))
    mesh = mesh_of(names, f"dns:{NAME}:{old.port}")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    assert set(await load.more(20)) == {"old"}
    new.check = lambda: 503
    names.say(NAME, a("127.0.0.2"))
    await until("the new one is checked", lambda: new.checks > 3)
    assert set(await load.more(40)) == {"old"}
    new.check = lambda: 200
    await load.until("the new one alone serves", lambda served: served["new"] > 10)

    async def alone() -> bool:
        return [each["suspect"] for each in (await client.get("/services/x")).json["instances"]] == [None]

    await until("the old one is gone", alone)
    await load.stop()
    assert load.failures == []


@pytest_twisted.ensureDeferred
async def test_name_server_goes_away(stage: Stage) -> None:
    """Dead or confused, a name server takes nothing away: traffic goes on, what is known is shown as stale with its
    age, one warning says so, and one line that all is well again."""
    names = name_server(stage)
    one = stage.instance("one")
    names.say(NAME, a("127.0.0.1"))
    mesh = mesh_of(names, f"dns:{NAME}:{one.port}")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    await load.more(20)
    assert not (await source(client))["stale"]

    await names.stop()
    await source_is(client, "it is stale", lambda found: found["stale"] and found["age_seconds"] > 3)
    found = await source(client)
    assert (found["instances"], found["ttl_seconds"]) == (1, 1.0), found
    assert names.address in found["problem"] and "port unreachable" in found["problem"], found
    names.confused = True
    names.start()
    await source_is(client, "it is confused", lambda found: "SERVFAIL" in found["problem"])
    names.confused = False
    await program.says("is answered again: 1 instance", 40.0)
    await source_is(client, "it is fresh", lambda found: not found["stale"] and found["problem"] == "")
    await load.stop()
    assert load.failures == []
    assert len(warnings(program)) == 1, warnings(program)


@pytest_twisted.ensureDeferred
async def test_name_is_denied_for_a_while(stage: Stage) -> None:
    """NXDOMAIN is held against the source, not against its instances: they are suspects, and serve while they pass
    their checks. When it was said long enough, they go."""
    names = name_server(stage)
    one = stage.instance("one")
    names.say(NAME, a("127.0.0.1"))
    mesh = mesh_of(names, f"dns:{NAME}:{one.port}", hold="4s")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    await load.more(20)

    names.forget(NAME)
    await source_is(client, "it is denied", lambda found: "NXDOMAIN" in found["problem"] and found["stale"])
    (instance,) = (await client.get("/services/x")).json["instances"]
    assert "NXDOMAIN" in instance["suspect"]["reason"] and instance["available"], instance
    await load.more(20)
    names.say(NAME, a("127.0.0.1"))
    await program.says("is answered again: 1 instance")
    (instance,) = (await client.get("/services/x")).json["instances"]
    assert instance["suspect"] is None
    await load.more(20)
    await load.stop()
    assert load.failures == []

    names.forget(NAME)
    await program.says(f"x: dns:{NAME}:{one.port} is gone, and its 1 instance with it")
    assert (await client.get("/")).status == 503


@pytest_twisted.ensureDeferred
async def test_services_with_priorities(stage: Stage) -> None:
    """SRV: the best priority serves alone; when it has nobody any more, the next one takes over, and gives back."""
    names = name_server(stage)
    best, other, spare = (stage.instance(name) for name in ("best", "other", "spare"))
    names.say("here.test", a("127.0.0.1"))
    both = [srv("here.test", best.port, 1, 60000), srv("here.test", other.port, 1, 30000)]
    names.say(SERVICE, *both, srv("here.test", spare.port, 2))
    mesh = mesh_of(names, f"srv:{SERVICE}")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    assert set(await load.more(60)) == {"best", "other"}
    weights = {each["id"]: each["weight"] for each in (await client.get("/services/x")).json["instances"]}
    assert weights == {best.address: 1000, other.address: 500}

    names.say(SERVICE, srv("here.test", spare.port, 2))
    await load.until("the spare one serves", lambda served: served["spare"] > 10)
    await source_is(client, "it is alone", lambda found: found["instances"] == 1)
    names.say(SERVICE, *both, srv("here.test", spare.port, 2))
    await load.until("the best serve again", lambda served: served["best"] > 10 and served["other"] > 10)
    await load.stop()
    assert load.failures == []
    assert warnings(program) == []


@pytest_twisted.ensureDeferred
async def test_start_without_name_server(stage: Stage) -> None:
    """A gateway whose name server is not there starts all the same, serves what it knows otherwise, and finds the rest
    when it comes."""
    names = name_server(stage)
    fixed, one = stage.instance("fixed"), stage.instance("one")
    await names.stop()
    mesh = mesh_of(names, fixed.address, f"dns:{NAME}:{one.port}", "dns:localhost:1")
    program = await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    load = Load(client, "/")
    assert set(await load.more(20)) == {"fixed"}
    local = next(each for each in (await client.get("/status")).json["sources"] if each["source"] == "dns:localhost:1")
    assert (local["instances"], local["problem"]) == (1, ""), local
    names.say(NAME, a("127.0.0.1"))
    names.start()
    await load.until("the name is found", lambda served: served["one"] > 0, 40.0)
    await load.stop()
    assert load.failures == []
    assert len(warnings(program)) == 1, warnings(program)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest_twisted.ensureDeferred
async def test_ipv6_and_long_answers(stage: Stage) -> None:
    """Two hundred addresses do not fit into a datagram: TCP brings them all. An IPv6 instance is one like any other."""
    names = name_server(stage)
    six = stage.instance("six", interface="::1")
    many = [a(f"127.0.1.{number}") for number in range(1, 201)]
    names.say(NAME, *many, aaaa("::1"))
    mesh = mesh_of(names, f"dns:{NAME}:{six.port}")
    await stage.gateway(mesh.text)
    client = stage.client(mesh.port)
    await source_is(client, "all are known", lambda found: found["instances"] == 201)
    instances = (await client.get("/services/x")).json["instances"]
    assert len(instances) == 201
    (mine,) = [each for each in instances if each["id"].startswith("[::1]:")]
    assert mine["address"] == f"[::1]:{six.port}"

    async def well() -> bool:
        health = (await client.get("/service-mesh/health/x")).json["instances"]
        return [each["address"] for each in health if each["available"]] == [mine["address"]]

    await until("it alone is healthy", well)
    answer = await client.get("/")
    assert (answer.status, answer.json["instance"]) == (200, "six"), answer
