"""Two gateways that share what they keep, in a Valkey that goes away in the end."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults

from tests.scenarios.clients import Client
from tests.scenarios.meshes import Mesh, static
from tests.scenarios.stage import Stage
from tests.scenarios.test_caching import OPTIONS, Origin, answer, figures, told
from tests.scenarios.waiting import until

HOST = "shop.test"
SECRET = "s3cret-and-long"


async def in_touch(admin: Client) -> bool:
    return bool((await figures(admin))["second_level"]["in_touch"])


@pytest_twisted.ensureDeferred
async def test_two_gateways(stage: Stage) -> None:
    """What one fetched the other has; what is purged, or changed, at one is gone at both; when the server is killed,
    no request fails, and both go on with their own. The server's password is never printed."""
    valkey = await stage.valkey(SECRET)
    fields = ("Cache-Control: max-age=60", "Surrogate-Key: t")
    origin = Origin(stage, lambda head: answer(b"%d" % len(origin.heads), *fields))
    shared = {"gateway": {"cache_redis_url": valkey.url()}, "service:x": OPTIONS}
    meshes: list[Mesh] = [static([origin.address], changes=shared) for _ in range(2)]
    programs = [await stage.gateway(mesh.text, name=f"gateway-{mesh.port}") for mesh in meshes]
    here, there = (stage.client(mesh.port) for mesh in meshes)
    admins = [stage.client(mesh.admin) for mesh in meshes]
    for admin in admins:
        await until("it is in touch", lambda admin=admin: in_touch(admin))

    async def written(count: int) -> None:
        async def enough() -> bool:
            return sum([(await figures(admin))["second_level"]["written"] for admin in admins]) == count

        await until(f"{count} answers are written", enough)

    async def both_empty() -> bool:
        return [(await figures(admin))["objects"] for admin in admins] == [0, 0]

    purges: tuple[dict[str, object], ...] = ({"url": "/a"}, {"prefix": "/"}, {"tag": "t"}, {"all": True})
    for turn, purge in enumerate(purges, 1):
        assert told(await here.get("/a", Host=HOST)) == "wmesh; fwd=uri-miss; fwd-status=200; stored"
        await written(turn)
        found = await there.get("/a", Host=HOST)
        assert (found.body, len(origin.heads)) == (b"%d" % turn, turn)
        assert told(found).startswith("wmesh; hit; ttl=") and told(found).endswith("; detail=shared")
        assert told(await there.get("/a", Host=HOST)).startswith("wmesh; hit; ttl=")
        await admins[turn % 2].post("/services/x/purge", purge)
        await until("both are empty", both_empty)
        await until("the server is, too", lambda: valkey.ask("KEYS", "*page*") == b"*0\r\n")
    await here.get("/a", Host=HOST)
    await written(5)
    await there.get("/a", Host=HOST)
    await there.post("/a", Host=HOST)
    await until("both have forgotten what was changed", both_empty)

    await here.get("/b", Host=HOST)
    await valkey.kill()
    asking = [client.get(f"/{n % 7}", Host=HOST) for n in range(50) for client in (here, there)]
    answers = await gatherResults([Deferred.fromCoroutine(each) for each in asking])
    assert {each.status for each in answers} == {200}
    assert told(await here.get("/b", Host=HOST)).startswith("wmesh; hit")
    for admin, program in zip(admins, programs, strict=True):
        await until("it says so", lambda program=program: "The shared cache is left alone" in program.output)
        found = (await figures(admin))["second_level"]
        assert (found["in_touch"], SECRET in str(found)) == (False, False)

    await valkey.start()
    for admin, program in zip(admins, programs, strict=True):
        await until("it is in touch again", lambda admin=admin: in_touch(admin))
        assert program.output.count("The shared cache is left alone") == 1
        assert "answers again" in program.output
        assert SECRET not in program.output
    assert await both_empty(), "what was said meanwhile is lost with the server"
    asked = len(origin.heads)
    await here.get("/b", Host=HOST)
    assert len(origin.heads) == asked + 1
