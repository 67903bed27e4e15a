"""What a failing Redis costs clients: nothing. Each scenario hurts a real server while requests go on, and demands that
not one of them fails, that the gateway says what it lost, and that everything is as before in the end."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest_twisted

from tests.scenarios.survival import LEASE, RECOVERY, Gateway, Scene, network, scene
from tests.scenarios.waiting import pause, until


@pytest_twisted.ensureDeferred
async def test_kill_and_restart(tmp_path: Path) -> None:
    """kill -9, longer away than a lease, back without data: stale meanwhile, and told how long; then as before."""
    async with scene(tmp_path) as it:
        await it.begin()
        await it.valkey.kill()
        await it.gateway.has(stale=True, connected=False)
        await pause(LEASE + 1.0)
        status = await it.gateway.registry()
        assert status["stale_seconds"] > LEASE, status
        stats = (await it.gateway.ask("/service-mesh/stats"))["registry"]
        assert stats["stale"] and stats["stale_seconds"] > LEASE, stats
        assert await it.gateway.ids() == ["a", "b", "c"]
        await it.valkey.start()
        await it.gateway.has(stale=False, stale_seconds=None, instances=3)
        await it.gateway.knows("a", "b", "c")
        await it.unhurt("kill -9 and restart")


@pytest_twisted.ensureDeferred
async def test_stopped_for_ten_seconds(tmp_path: Path) -> None:
    """SIGSTOP for three times a lease: whoever could not renew is not evicted when it goes on."""
    async with scene(tmp_path) as it:
        await it.begin()
        assert it.valkey.child is not None
        it.valkey.child.signal(signal.SIGSTOP)
        await pause(10.0)
        assert (await it.gateway.registry())["stale"]
        it.valkey.child.signal(signal.SIGCONT)
        await it.gateway.has(stale=False, instances=3)
        await pause(LEASE)
        assert await it.gateway.ids() == ["a", "b", "c"]
        await it.unhurt("10 s SIGSTOP")


@pytest_twisted.ensureDeferred
async def test_flushall(tmp_path: Path) -> None:
    """An emptied server freezes evictions, loudly; holders register again, and the freeze is over."""
    async with scene(tmp_path) as it:
        await it.begin()
        it.valkey.ask("FLUSHALL")
        await it.gateway.has(instances=3)
        await it.gateway.knows("a", "b", "c")

        async def over() -> bool:
            preservation = (await it.gateway.registry())["preservation"]
            return not preservation["frozen"] and preservation["suspects"] == 0

        await until("the freeze is over", over, RECOVERY)
        await it.unhurt("FLUSHALL")


@pytest_twisted.ensureDeferred
async def test_emptied_and_nobody_renews(tmp_path: Path) -> None:
    """All holders fall silent and the server is emptied: passing instances serve as suspects, a dead one is dropped
    within seconds, and after `preserve_for` time decides."""
    async with scene(tmp_path) as it:
        await it.begin(preserve_for="6s")
        for instance in it.instances.values():
            await instance.fall_silent()
        it.valkey.ask("FLUSHALL")

        async def held() -> bool:
            preservation = (await it.gateway.registry())["preservation"]
            return bool(preservation["frozen"] and preservation["held"] == 3)

        await until("all three are held", held, RECOVERY)
        (suspect, *_) = (await it.gateway.ask("/services/shop"))["instances"]
        assert suspect["available"] and "missing from the registry" in suspect["suspect"]["reason"], suspect
        await it.instances["c"].stop_serving()
        await it.gateway.knows("a", "b")
        await it.unhurt("emptied, and nobody renews")

        async def gone() -> bool:
            return await it.gateway.ids(healthy=False) == []

        await until("time has decided", gone, RECOVERY)
        assert "SELF-PRESERVATION of the registry: 3 of 3 leases vanished" in it.gateway.output
        assert "1 failed their checks, 2 were given up" in it.gateway.output


@pytest_twisted.ensureDeferred
async def test_one_crash_is_evicted_in_time(tmp_path: Path) -> None:
    """Self-preservation delays nothing where one of three crashes: gone a second after its lease at the latest."""
    async with scene(tmp_path) as it:
        await it.begin()
        await it.instances["c"].crash()
        began = network.seconds()

        async def gone() -> bool:
            return "c" not in await it.gateway.ids(healthy=False)

        await until("it is evicted", gone, RECOVERY)
        assert network.seconds() - began < LEASE + 1.0
        await it.unhurt("one crash of three")


@pytest_twisted.ensureDeferred
async def test_cut_in_the_middle_of_auth(tmp_path: Path) -> None:
    """A connection lost during the login is one more lost connection, however often it happens."""
    async with scene(tmp_path) as it:
        await it.begin(password="first-secret", cable=True)
        it.cable.cut_auth = 5
        it.cable.cut()
        await it.gateway.has(stale=True)
        await until("five logins were cut", lambda: it.cable.cuts == 5, RECOVERY)
        await it.gateway.has(stale=False, instances=3)
        await it.unhurt("cut in the middle of AUTH")
        assert "first-secret" not in it.gateway.output


@pytest_twisted.ensureDeferred
async def test_password_rotation(tmp_path: Path) -> None:
    """The password changes and old connections are killed: served on from what is known, and the reason is told; when
    the old password holds again, the gateway comes back by itself. Restarted with the new one it serves at once what
    it remembers, though nobody can register yet."""
    async with scene(tmp_path) as it:
        await it.begin(password="first-secret")
        it.valkey.ask("CONFIG", "SET", "requirepass", "second-secret")
        it.valkey.password = "second-secret"
        it.valkey.ask("CLIENT", "KILL", "TYPE", "normal")
        await it.gateway.has(stale=True)
        await until("the reason is told", lambda: _problem(it, "WRONGPASS"), RECOVERY)
        await pause(LEASE + 1.0)
        assert await it.gateway.ids() == ["a", "b", "c"]
        it.valkey.ask("CONFIG", "SET", "requirepass", "first-secret")
        it.valkey.password = "first-secret"
        await it.gateway.has(stale=False, instances=3)
        await it.unhurt("password rotation")

        await it.gateway.kill()
        it.valkey.ask("CONFIG", "SET", "requirepass", "third-secret")
        it.valkey.password = "third-secret"
        it.valkey.ask("FLUSHALL")
        it.valkey.ask("CLIENT", "KILL", "TYPE", "normal")
        again = Gateway(tmp_path, it.valkey.url())
        it.gateways.append(again)
        await again.start()
        assert await again.ids() == ["a", "b", "c"]
        assert (await again.registry())["preservation"]["held"] == 3
        assert "secret" not in it.gateway.output + again.output


async def _problem(it: Scene, word: str) -> bool:
    return word in str((await it.gateway.registry())["problem"])


@pytest_twisted.ensureDeferred
async def test_past_the_trim_point(tmp_path: Path) -> None:
    """A reader that heard nothing while the stream moved on and was trimmed finds the gap and takes a snapshot."""
    async with scene(tmp_path) as it:
        await it.begin(cable=True)
        it.cable.hold(True)
        await it.join("d")
        await it.instances["a"].say_goodbye()
        it.valkey.ask("XTRIM", "{wmesh}:changes", "MAXLEN", "0")
        await it.join("e")
        it.cable.hold(False)
        await it.gateway.knows("b", "c", "d", "e")
        await it.unhurt("away past the trim point")
        assert not (await it.gateway.registry())["preservation"]["frozen"]


@pytest_twisted.ensureDeferred
async def test_start_without_a_registry(tmp_path: Path) -> None:
    """Restarted while the registry is away, the gateway serves what it knew, after a check; what is dead is dropped;
    a malformed snapshot is ignored with one warning."""
    async with scene(tmp_path) as it:
        await it.begin()
        await it.unhurt("before the restart")
        snapshot = tmp_path / "var" / "registry-snapshot.json"

        def written() -> bool:
            return len(json.loads(snapshot.read_text())["instances"]) == 3

        await until("it is written down", written, RECOVERY)
        await it.gateway.kill()
        await it.valkey.kill()
        await it.instances["c"].stop_serving()
        await it.gateway.start()
        await it.gateway.knows("a", "b")

        async def dropped() -> bool:
            return await it.gateway.ids(healthy=False) == ["a", "b"]

        await until("the dead one is dropped", dropped, 3.0)
        status = await it.gateway.registry()
        assert status["stale"] and status["preservation"]["suspects"] == 2, status

        await it.gateway.kill()
        snapshot.write_text("{half a snap")
        await it.gateway.start("listening: ")
        assert await it.gateway.ids(healthy=False) == []
        assert it.gateway.output.count("registry-snapshot.json is ignored") == 1
