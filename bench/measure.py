"""One measurement: start a proxy, see that it does its job, load it, read the clock of its core, stop it.

Every measurement has a process of its own, so that no case inherits the heap or the warmed caches of another. Before
anything is counted, each body is compared byte for byte and every instance must have answered; then a second of the
same load warms connections, pools and (where there is one) the garbage collector.
"""

from __future__ import annotations

import contextlib
import http.client
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bench import cpu, idle
from bench.backend import bodies
from bench.load import drive
from bench.peers.base import Peer, Site
from bench.process import Child, children, free_ports, wait_until
from bench.records import Case, IdleSample, LoadSample

WARM_SECONDS = 1


class CheckError(Exception):
    """A proxy does not do the job: a wrong body, or an instance that gets no requests."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where measurements take place."""

    proxy_core: int
    load_cores: Collection[int]
    instances: tuple[int, ...]
    connections: int
    files: int


def fetch(port: int, path: str) -> tuple[int, bytes, str]:
    """Status, body and the name of the instance, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(), response.getheader("X-Instance", "")
    finally:
        connection.close()


def answers(port: int, path: str) -> bool:
    """Is there a good answer yet?"""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return fetch(port, path)[0] == 200
    return False


def check(port: int, case: Case, instances: Collection[int], seconds: float = 10.0) -> None:
    """Compare bodies until every instance has answered, at least once each."""
    wanted = bodies()[case.path.lstrip("/")]
    missing = {str(instance) for instance in instances}
    deadline = time.monotonic() + seconds
    while missing:
        status, body, instance = fetch(port, case.path)
        if status != 200 or body != wanted:
            raise CheckError(f"GET {case.path}: status {status}, {len(body)} bytes that are not the instance's")
        missing.discard(instance)
        if time.monotonic() > deadline:
            raise CheckError(f"no requests reach instance {', '.join(sorted(missing))}")


def load_sample(bench: Bench, peer: Peer, binary: str, case: Case, turn: int, seconds: int) -> LoadSample:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        site = _site(bench, Path(name))
        child = start(peer.name, peer.launch(binary, site), site.directory, {bench.proxy_core})
        wait_until(lambda: answers(site.port, case.path), child)
        check(site.port, case, bench.instances)
        url = f"http://127.0.0.1:{site.port}{case.path}"
        drive(url, case.connections, WARM_SECONDS, case.how)

        pids = cpu.family(child.pid)
        core, spent, clock = cpu.core_time(bench.proxy_core), cpu.cpu_time(pids), time.monotonic()
        load = drive(url, case.connections, seconds, case.how)
        used = cpu.between(spent, cpu.cpu_time(pids)) / 1e9
        window = time.monotonic() - clock
        ticks = cpu.core_time(bench.proxy_core).total - core.total
        memory = cpu.memory(pids)

        _same_family(child, pids)
        if not load.requests:
            raise CheckError(f"no request was answered ({load.describe_errors() or 'no errors'})")
        if load.bytes < load.requests * len(bodies()[case.path.lstrip("/")]):
            raise CheckError("under load, some answers were shorter than the body")
        return LoadSample(
            peer=peer.name,
            case=case.name,
            turn=turn,
            cpu=used * 1e6 / load.requests,
            rate=load.rate,
            p50=load.p50,
            p99=load.p99,
            requests=load.requests,
            busy=used / window,
            others=max(0.0, ticks / cpu.ticks_per_second() - used) / window,
            rss=memory.rss,
            pss=memory.pss,
            errors=load.describe_errors(),
        )


def idle_sample(bench: Bench, peer: Peer, binary: str, case: Case, turn: int) -> IdleSample:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        site = _site(bench, Path(name))
        child = start(peer.name, peer.launch(binary, site), site.directory, {bench.proxy_core})
        wait_until(lambda: answers(site.port, case.path), child)
        check(site.port, case, bench.instances)
        pids = cpu.family(child.pid)
        before, after, lost = idle.weigh(site.port, case.path, bench.connections, lambda: cpu.memory(pids))
        _same_family(child, pids)
        errors = f"{lost} connections were closed" if lost else ""
        return IdleSample(peer.name, turn, bench.connections, before.rss, after.rss, before.pss, after.pss, errors)


def _site(bench: Bench, directory: Path) -> Site:
    # Room beside the connections that are counted: those that came first, and those of the checks.
    [port] = free_ports(1, bench.instances)
    return Site(port, bench.instances, directory, bench.connections + 2 * idle.FIRST, bench.files)


def _same_family(child: Child, pids: list[int]) -> None:
    child.check()
    if sorted(cpu.family(child.pid)) != sorted(pids):
        raise CheckError("its processes changed while it was measured")
