"""What health checks cost: `python -m bench.checks`. The prober with thousands of instances that are real sockets.

Every instance is a listening socket at an address of its own (127.1.0.1, 127.1.0.2, …), served by a child process,
which is not counted. Directory, prober and probe are those of the gateway, on the real reactor. First checks and
settling are over before anything is counted; then all checks of `--rounds` intervals are, with the CPU of this process,
the most that ran at once (each has one file descriptor), and how evenly the checks fell into seconds.
"""

from __future__ import annotations

import argparse
import resource
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from wmesh.balance.round_robin import RoundRobin
from wmesh.cluster.directory import Directory
from wmesh.control.prober import Prober
from wmesh.control.probes import probes
from wmesh.events import InstancesReset
from wmesh.model import Address, CheckResult, CheckSpec, Health, InstanceRecord, MeshSpec, ServiceSpec

BODY = b'{"status": "healthy"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
ANSWER = HEAD % len(BODY) + BODY


def address(number: int, port: int) -> Address:
    """Instances that share a port have addresses of their own; Linux listens on all of 127.0.0.0/8."""
    return Address(f"127.1.{number // 250}.{number % 250 + 1}", port)


def serve(count: int, port: int) -> None:
    """The child: `count` listening sockets. An answer to whatever comes first, and the end."""
    listening = {}
    poll = select.epoll()
    for number in range(count):
        place = address(number, port)
        sock = socket.create_server((place.host, place.port), backlog=16)
        sock.setblocking(False)
        listening[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
    print("ready", flush=True)
    open_now: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number in listening:
                taken, _ = listening[number].accept()
                open_now[taken.fileno()] = taken
                poll.register(taken, select.EPOLLIN)
            else:
                sock = open_now.pop(number)
                poll.unregister(number)
                if sock.recv(4096):
                    sock.sendall(ANSWER)
                sock.close()


class Counted:
    """The probe, counting."""

    def __init__(self, probe: Any) -> None:
        self.probe = probe
        self.counting = False
        self.running = self.most = self.checks = self.failed = 0
        self.seconds: Counter[int] = Counter()

    def __call__(self, record: InstanceRecord, spec: CheckSpec) -> Deferred[CheckResult]:
        self.running += 1
        if self.counting:
            self.checks += 1
            self.most = max(self.most, self.running)
            self.seconds[int(time.monotonic() - self.began)] += 1
        checking: Deferred[CheckResult] = self.probe(record, spec)
        return checking.addCallback(self._ended)

    def _ended(self, result: CheckResult) -> CheckResult:
        self.running -= 1
        self.failed += self.counting and not result.ok
        return result

    def begin(self) -> None:
        self.counting, self.began = True, time.monotonic()


async def measure(reactor: Any, chosen: argparse.Namespace, port: int) -> str:
    check = CheckSpec(path="/health" if chosen.kind == "http" else "", interval=chosen.interval)
    spec = ServiceSpec("fleet", check=check)
    directory = Directory([spec], lambda spec: RoundRobin(spec, Random(1)), time.monotonic)
    counted = Counted(probes(reactor)(spec))
    prober = Prober(directory, reactor, Random(1), lambda spec: counted, chosen.batch)
    records = [InstanceRecord("fleet", f"i{n}", address(n, port), origin="static") for n in range(chosen.instances)]
    directory.apply(InstancesReset("static", tuple(records)))
    began = time.monotonic()
    prober.start()
    await prober.first_round(300.0)
    first = time.monotonic() - began
    members = directory.clusters["fleet"].members.values()
    healthy = sum(member.health.state is Health.HEALTHY for member in members)
    await deferLater(reactor, 1.2 * chosen.interval)
    counted.begin()
    before = time.process_time()
    await deferLater(reactor, chosen.rounds * chosen.interval)
    cpu, took = time.process_time() - before, time.monotonic() - counted.began
    counted.counting = False
    prober.stop()
    whole = [counted.seconds[second] for second in range(int(took))]
    checks = max(1, counted.checks)
    return "\n".join(
        [
            f"{chosen.instances} instances, {chosen.kind} every {chosen.interval:g} s, at most {chosen.batch} at once",
            f"first round: {first:.1f} s, {healthy} healthy",
            f"{counted.checks} checks in {took:.1f} s, {counted.failed} failed",
            f"CPU: {100 * cpu / took:.1f} % of a core, {1e6 * cpu / checks:.0f} us a check",
            f"checks a second: {min(whole)} to {max(whole)}",
            f"most at once: {counted.most}",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.checks", description="What health checks cost.")
    parser.add_argument("--instances", type=int, default=10_000, metavar="N", help="default 10000")
    parser.add_argument(
        "--interval", type=float, default=15.0, metavar="SECONDS", help="between two checks (default 15)"
    )
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="intervals that are measured (default 2)")
    parser.add_argument("--batch", type=int, default=MeshSpec().health_check_batch, metavar="N", help="most at once")
    parser.add_argument("--kind", choices=("http", "tcp"), default="http")
    parser.add_argument("--port", type=int, default=19_999, help="of all instances (default 19999)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if not 1 <= chosen.instances <= 60_000 or chosen.interval <= 0 or chosen.rounds < 1 or chosen.batch < 1:
        parser.error("instances: 1 to 60000; the others above 0")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < chosen.instances + 500:
        parser.error(f"the instances need {chosen.instances + 500} file descriptors; this machine allows {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (chosen.instances + 500, most))
    if chosen.serve:
        serve(chosen.instances, chosen.port)
        return 0
    from twisted.internet import reactor

    loop: Any = reactor
    argv = [sys.executable, "-m", "bench.checks", "--serve", *sys.argv[1:]]
    status = 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                print("the instances did not start", file=sys.stderr)
                return 1

            def told(result: Any) -> None:
                nonlocal status
                if not isinstance(result, str):
                    result.printTraceback()
                    status = 1
                else:
                    print(result)
                loop.stop()

            Deferred.fromCoroutine(measure(loop, chosen, chosen.port)).addBoth(told)
            loop.run()
        finally:
            child.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
