"""What a failover by Sentinels costs clients: nothing. Each scenario takes the master away in another way while
requests go on; not one may fail, and afterwards everybody is at the new master: gateway, instances, and newcomers."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted

from tests.certificates import Authority
from tests.scenarios.sentinels import MASTER, Replicated, clients_of
from tests.scenarios.survival import LEASE, RECOVERY, Scene, scene
from tests.scenarios.waiting import pause, until


@contextlib.asynccontextmanager
async def replicated(folder: Path, tls: bool = False) -> AsyncIterator[tuple[Scene, Replicated]]:
    servers = Replicated(folder, Authority(folder) if tls else None)
    async with scene(folder, servers) as it:
        await it.begin()
        yield it, servers


async def all_are_there(it: Scene, servers: Replicated) -> None:
    """At the new master, that is: old registrations are back, renewed there, and a new one is seen."""
    place = f"127.0.0.1:{servers.shown[servers.other]}"
    await it.gateway.has(connected=True, stale=False, master=place, instances=3, problem=None)
    await it.join("d")
    await it.gateway.knows("a", "b", "c", "d")
    # Holders find the new master each in its own time; until then the gateway keeps theirs as suspects.
    await until("all four stand there", lambda: servers.other.ask("HLEN", "{wmesh}:records") == b":4\r\n", RECOVERY)


@pytest_twisted.ensureDeferred
async def test_kill(tmp_path: Path) -> None:
    """kill -9 of the master."""
    async with replicated(tmp_path) as (it, servers):
        assert servers.main.child is not None
        servers.main.child.signal(signal.SIGKILL)
        await servers.follows()
        await all_are_there(it, servers)
        await it.unhurt("kill -9 of the master")


@pytest_twisted.ensureDeferred
async def test_hang(tmp_path: Path) -> None:
    """The master hangs until another one is appointed, and comes back demoted: nobody stays with it, or returns."""
    async with replicated(tmp_path) as (it, servers):
        assert servers.main.child is not None
        servers.main.child.signal(signal.SIGSTOP)
        await servers.follows()
        await all_are_there(it, servers)
        servers.main.child.signal(signal.SIGCONT)
        await servers.demoted()
        await pause(LEASE)
        assert clients_of(servers.main) == []
        assert await it.gateway.ids() == ["a", "b", "c", "d"]
        await it.unhurt("SIGSTOP of the master past the failover")


@pytest_twisted.ensureDeferred
async def test_by_hand(tmp_path: Path) -> None:
    """SENTINEL FAILOVER while both servers are well."""
    async with replicated(tmp_path) as (it, servers):
        servers.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)
        await servers.follows()
        await servers.demoted()
        await all_are_there(it, servers)
        assert clients_of(servers.main) == []
        await it.unhurt("SENTINEL FAILOVER")


@pytest_twisted.ensureDeferred
async def test_a_master_that_does_not_know(tmp_path: Path) -> None:
    """The Sentinels appoint another master, and the old one never hears of it (a partition): it goes on answering as a
    master, and is left all the same."""
    async with replicated(tmp_path) as (it, servers):
        for sentinel in servers.sentinels:
            sentinel.ask("SENTINEL", "REMOVE", MASTER)
        servers.other.ask("REPLICAOF", "NO", "ONE")
        for sentinel in servers.sentinels:
            sentinel.ask("SENTINEL", "MONITOR", MASTER, "127.0.0.1", str(servers.other.port), "2")
        await until("nobody is with the old master", lambda: clients_of(servers.main) == [], 30.0)
        assert b"master" in servers.main.ask("ROLE")
        await all_are_there(it, servers)
        await it.unhurt("a master that does not know")


@pytest_twisted.ensureDeferred
async def test_over_tls(tmp_path: Path) -> None:
    """Sentinels and servers over TLS, each verified by its address: a failover is no different."""
    async with replicated(tmp_path, tls=True) as (it, servers):
        assert servers.main.child is not None
        servers.main.child.signal(signal.SIGKILL)
        await servers.follows()
        await all_are_there(it, servers)
        await it.unhurt("kill -9 of the master, over TLS")
