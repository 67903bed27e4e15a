"""A whole run: the backend is started once, then the peers take turns, case by case and round by round.

Turns are A B C, A B C, …, and within a round all peers of one case follow each other directly: when the machine gets
slower or faster in the course of minutes, it does so for all of them.
"""

from __future__ import annotations

import datetime
import os
import tempfile
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench import load
from bench.backend import backend_launch
from bench.computer import this_computer
from bench.measure import Bench, CheckError, idle_sample, load_sample
from bench.peers.base import Peer, Places
from bench.process import ProcessError, allow_files, children, free_ports, listening, wait_until
from bench.records import IDLE, Case, Failure, Machine, Results
from bench.report import progress_idle, progress_load

WANTED_FILES = 16384
BACKENDS = 3

Say = Callable[[str], None]


def choose_cores() -> tuple[int, tuple[int, ...]]:
    """One core for the proxy, all others for load generator and backend (the same one where there is no other)."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return first, tuple(rest) or (first,)


def find_peers(peers: Mapping[str, Peer], where: Places, say: Say) -> dict[str, str]:
    """Binaries by name. Says which are missing, and how to get them."""
    found = {}
    for name, peer in peers.items():
        binary = peer.find(where)
        if binary is None:
            say(f"{name} is not here and is left out; to have it: {peer.how_to_get}")
        else:
            found[name] = binary
    return found


def describe_machine(backend: str, proxy_core: int, load_cores: tuple[int, ...]) -> Machine:
    return Machine(
        **asdict(this_computer()),
        wrk=load.wrk_version(),
        backend=backend,
        proxy_core=proxy_core,
        load_cores=load_cores,
    )


def pace() -> float:
    """Nanoseconds for one turn of an empty loop here and now, the best of five tries."""
    turns = 1_000_000
    return min(timeit.repeat("pass", number=turns, repeat=5)) * 1e9 / turns


def run(
    peers: Mapping[str, Peer], where: Places, cases: Sequence[Case], duration: int, rounds: int, nginx: Peer, say: Say
) -> Results:
    """Measure everything. A measurement that fails is noted, and the run goes on."""
    binaries = find_peers(peers, where, say)
    files = allow_files(WANTED_FILES)
    # HAProxy, as an example, wants two files for each connection that it may hold.
    idle_connections = min(IDLE.connections, files // 2 - 1024)
    if idle_connections < IDLE.connections and IDLE in cases:
        say(f"only {idle_connections} idle connections: the limit of open files is {files} (see ulimit -n)")
    proxy_core, load_cores = choose_cores()
    if proxy_core in load_cores:
        say("there is only one core: proxy, load generator and backend share it, and the figures mean little")
    os.sched_setaffinity(0, load_cores)

    with tempfile.TemporaryDirectory(prefix="bench-backend-") as name, children() as start:
        directory = Path(name)
        instances = tuple(free_ports(BACKENDS))
        binary = nginx.find(where)
        backend = start("backend", backend_launch(binary, instances, directory, files), directory, load_cores)
        for port in instances:
            wait_until(lambda port=port: listening(port), backend)  # type: ignore[misc]
        label = f"nginx {nginx.version(binary)}" if binary else "asyncio"
        results = Results(
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            duration=duration,
            rounds=rounds,
            machine=describe_machine(label, proxy_core, load_cores),
            versions={name: peers[name].version(binary) for name, binary in binaries.items()},
            remarks={name: peers[name].remark for name in binaries},
        )
        bench = Bench(proxy_core, load_cores, instances, idle_connections, files)
        for turn in range(1, rounds + 1):
            results.paces.append(pace())
            for case in cases:
                for name, binary in binaries.items():
                    backend.check()
                    if case.name in peers[name].skips:
                        say(f"{name} is left out of {case.name}: {peers[name].skips[case.name]}")
                        continue
                    say(f"round {turn}/{rounds}  {case.name:<8}{name:<18}")
                    _measure(results, bench, peers[name], binary, case, turn, say)
    return results


def _measure(results: Results, bench: Bench, peer: Peer, binary: str, case: Case, turn: int, say: Say) -> None:
    try:
        if case is IDLE:
            idle_found = idle_sample(bench, peer, binary, case, turn)
            results.idles.append(idle_found)
            say(progress_idle(idle_found))
        else:
            found = load_sample(bench, peer, binary, case, turn, results.duration)
            results.loads.append(found)
            say(progress_load(found))
    except (ProcessError, CheckError, load.LoadError, OSError) as error:
        results.failures.append(Failure(peer.name, case.name, turn, str(error)))
        say(f"    FAILED: {error}")
