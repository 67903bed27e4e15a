"""What a hit costs: CPU per request of proxies that answer from their caches, measured as in `bench.measure`.

Also what a stored answer takes in memory, and how many requests a crowd on a cold key costs the backend.
"""

from __future__ import annotations

import http.client
import http.server
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import cpu
from bench.backend import backend_launch, bodies
from bench.load import drive
from bench.measure import WARM_SECONDS, CheckError, answers, fetch
from bench.peers.base import Peer, Site
from bench.process import ProcessError, allow_files, children, free_ports, listening, wait_until
from bench.report import number, table
from bench.run import choose_cores

CASES = {"small": "/small", "64k": "/64k"}
CONNECTIONS = 64
OBJECTS = 5000


@dataclass(frozen=True, slots=True)
class Hit:
    """One measurement: CPU is microseconds per request."""

    peer: str
    case: str
    cpu: float
    rate: float


def measure(
    peers: Mapping[str, Peer],
    binaries: Mapping[str, str],
    nginx: str,
    seconds: int,
    rounds: int,
    say: Callable[[str], None],
) -> list[Hit]:
    """All peers, all cases, in turns."""
    core, others = choose_cores()
    files = allow_files(16384)
    os.sched_setaffinity(0, others)
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-backend-") as name, children() as start:
        (port,) = free_ports(1)
        backend = start(
            "backend", backend_launch(nginx, (port,), Path(name), files, "max-age=3600"), Path(name), others
        )
        wait_until(lambda: listening(port), backend)
        for _ in range(rounds):
            for case in CASES:
                for peer_name, binary in binaries.items():
                    try:
                        hit = once(peers[peer_name], binary, case, port, core, seconds, files)
                    except (ProcessError, CheckError) as error:
                        say(f"{peer_name} {case}: FAILED: {error}")
                        continue
                    found.append(hit)
                    say(f"{case:<7}{peer_name:<13}{number(hit.cpu)} µs CPU/request, {number(hit.rate)} requests/s")
    return found


def once(peer: Peer, binary: str, case: str, instance: int, core: int, seconds: int, files: int) -> Hit:
    path = CASES[case]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        (port,) = free_ports(1, (instance,))
        site = Site(port, (instance,), Path(name), 1024, files)
        child = start(peer.name, peer.launch(binary, site), site.directory, {core})
        wait_until(lambda: answers(port, path), child)
        if fetch(port, path)[:2] != (200, bodies()[path[1:]]):
            raise CheckError(f"GET {path}: that is not the body of the instance")
        url = f"http://127.0.0.1:{port}{path}"
        drive(url, CONNECTIONS, WARM_SECONDS)
        pids = cpu.family(child.pid)
        before = cpu.cpu_time(pids)
        load = drive(url, CONNECTIONS, seconds)
        used = cpu.between(before, cpu.cpu_time(pids)) / 1e9
        child.check()
        if load.errors or not load.requests:
            raise CheckError(load.describe_errors() or "no request was answered")
        return Hit(peer.name, case, used * 1e6 / load.requests, load.rate)


def memory(peer: Peer, binary: str, nginx: str) -> float:
    """Bytes of resident memory for each of many stored answers of 1 KiB."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        port, behind = free_ports(2)
        directory = Path(name)
        start("backend", backend_launch(nginx, (behind,), directory, 4096, "max-age=3600"), directory, {0})
        own = directory / "proxy"
        own.mkdir()
        child = start(peer.name, peer.launch(binary, Site(port, (behind,), own, 1024, 4096)), own, {0})
        wait_until(lambda: answers(port, "/small"), child)
        _ask_all(port, 500)
        before = cpu.memory(cpu.family(child.pid)).rss
        _ask_all(port, OBJECTS, 500)
        return (cpu.memory(cpu.family(child.pid)).rss - before) / OBJECTS


def _ask_all(port: int, count: int, first: int = 0) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for item in range(first, first + count):
        connection.request("GET", f"/small?{item}")
        connection.getresponse().read()
    connection.close()


def crowd(peer: Peer, binary: str, clients: int = 200) -> int:
    """How many requests a backend gets that needs a second, when so many clients ask for the same at once."""
    asked: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        port, behind = free_ports(2)
        server = _slow(behind, asked)
        child = start(peer.name, peer.launch(binary, Site(port, (behind,), Path(name), 1024, 4096)), Path(name), {0})
        wait_until(lambda: listening(port), child)
        threads = [threading.Thread(target=fetch, args=(port, "/crowd")) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.shutdown()
    return len(asked)


def _slow(port: int, asked: list[str]) -> http.server.ThreadingHTTPServer:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(1)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("Cache-Control", "max-age=60")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def hits_table(hits: list[Hit]) -> str:
    """Medians, and the ratio to nginx's plain proxy."""
    rows = []
    for case in CASES:
        plain = _median(hits, "nginx", case)
        for peer in dict.fromkeys(hit.peer for hit in hits):
            own = _median(hits, peer, case)
            if own is not None:
                ratio = number(own / plain) if plain else "–"
                rate = median(hit.rate for hit in hits if (hit.peer, hit.case) == (peer, case))
                rows.append([f"{case}, {peer}", number(own), ratio, number(rate)])
    return table(["hits", "CPU µs/request", "to nginx without a cache", "requests/s"], rows)


def _median(hits: list[Hit], peer: str, case: str) -> float | None:
    own = [hit.cpu for hit in hits if (hit.peer, hit.case) == (peer, case)]
    return median(own) if own else None
