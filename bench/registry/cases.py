"""The measurements. Each has a stage of its own, and adds what it saw to the results.

`routable`, `crash`: how long news take from those who make them to the client. There is always somebody else of the
same service to answer, so a client sees no error, and every error is told as trouble.

`fleet`, `resync`, `changes`: the same ten thousand instances, first only renewing their leases, then with the gateway's
view of them lost and taken anew, then with their records changing. A client asks ten services of a thousand instances
in turn meanwhile: what he waits for is what the gateway's loop was busy with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import cpu
from bench.process import ProcessError
from bench.registry.client import Client, light_load
from bench.registry.records import Results
from bench.registry.stage import FLEETS, NAMESPACE, Meter, Stage, Told, gateway_memory, stage
from bench.registry.wire import ask, connect, hash_of, packed
from wmesh.control.registry.scripts import keys

Say = Callable[[str], None]

COMPANIONS = 5
"""Who else is there when somebody crashes: one lease of so many is a crash, and not a registry that forgot."""

ROWS = 4
"""So many turns without him, and he is gone: they go round."""

LEASE = 3.0
RATE = 100.0
SETTLE = 6.0
AFTERMATH = 3.0
"""So long after it is right again, the gateway may still do something because of it: write it down, for one."""

SILENCE = 30.0


@dataclass(frozen=True, slots=True)
class Bench:
    """How much of everything. `cores` are the gateway's and all others."""

    cores: tuple[int, tuple[int, ...]]
    registrations: int
    crashes: int
    fleet: int
    rounds: int
    seconds: float
    changes: int


TITLES = {
    "routable": "from the call of a program that registers to the client's request",
    "crash": "from kill -9 until nothing is sent there any more; only leases decide",
    "fleet": "instances that send heartbeats with load samples every 5 s",
    "resync": "the gateway loses the connection, and takes the whole registry anew",
    "changes": "the fleet's records change, one script call each",
}


def routable(bench: Bench, results: Results, say: Say) -> None:
    with stage(*bench.cores) as on:
        on.feed("plain=1", "checked=1")
        on.start_gateway()
        registrar = on.registrar()
        for service, word in (("plain", "unchecked"), ("checked", "checked")):
            client = on.client(service)
            client.ask()
            for number in range(bench.registrations):
                came, went = _come_and_go(on, registrar, client, service, number, companions=1)
                results.add("routable", f"register to routable, {word}", "ms", came)
                results.add("routable", "deregister to not picked", "ms", went)
            _complain(results, "routable", client)
            say(f"    {bench.registrations} came and went, {word}")


def crash(bench: Bench, results: Results, say: Say) -> None:
    with stage(*bench.cores) as on:
        on.feed(f"plain={COMPANIONS}", lease=LEASE)
        on.start_gateway(LEASE)
        client = on.client("plain")
        for number in range(bench.crashes):
            registrar = on.registrar()
            _come(on, registrar, client, "plain", _newcomer(number), LEASE)
            # Somewhere between two heartbeats.
            time.sleep(LEASE / 3 * (1 + number / bench.crashes))
            killed = time.monotonic()
            registrar.child.process.kill()
            seconds = _left(client, _newcomer(number), COMPANIONS) - killed
            results.add("crash", "crash to eviction", "s", seconds)
            results.add("crash", "crash to eviction, beyond the lease", "s", max(0.0, seconds - LEASE))
            say(f"    evicted {seconds:.2f} s after the crash, with a lease of {LEASE:g} s")
        _complain(results, "crash", client)


def fleet(bench: Bench, results: Results, say: Say) -> None:
    with stage(*bench.cores) as on:
        results.add("fleet", "start of the gateway, nobody there", "s", on.start_gateway())
        before = _warm_memory(on)
        feeder = _feed(on, bench)
        _heartbeats(bench, results, on, feeder, say)
        after = gateway_memory(on)
        results.add("fleet", "memory of the gateway, nobody there", "MB", before)
        results.add("fleet", "memory of the gateway, with the fleet", "MB", after)
        results.add("fleet", "memory of Valkey", "MB", cpu.memory([on.server.pid]).rss / 1e6)
        on.gateway.stop()
        results.add("fleet", "start of the gateway, everybody there", "s", on.start_gateway())
        results.add("fleet", "memory of a gateway that starts with the fleet there", "MB", _warm_memory(on))
        say(f"    gateway {before:.0f} MB without, {after:.0f} MB with the fleet")


def _heartbeats(bench: Bench, results: Results, on: Stage, feeder: Told, say: Say) -> None:
    time.sleep(SETTLE)
    for _ in range(bench.rounds):
        meter = Meter(on)
        latencies = _ask_all(on, results, "fleet", lambda meter=meter: meter.seconds() > bench.seconds)  # type: ignore[misc]
        gateway, server, waited = meter.read()
        results.add("fleet", "CPU of the gateway", "%", gateway)
        results.add("fleet", "CPU of Valkey", "%", server)
        results.add("fleet", "a client's request", "ms", *latencies)
        results.others.append(waited)
        _punctual(results, "fleet", feeder)
        say(f"    gateway {gateway:.1f} %, Valkey {server:.1f} %, longest request {max(latencies):.0f} ms")


def resync(bench: Bench, results: Results, say: Say) -> None:
    with stage(*bench.cores) as on:
        on.start_gateway()
        feeder = _feed(on, bench)
        time.sleep(SETTLE)
        for word, change in (("unchanged", False), ("all changed", True)):
            for _ in range(2 * bench.rounds + 1):
                if change:
                    _change_all(on)
                _resync(results, on, word, say)
        _punctual(results, "resync", feeder)


def _resync(results: Results, on: Stage, word: str, say: Say) -> None:
    count = on.answers_again()
    right = 0.0

    def over() -> bool:
        nonlocal right
        now = time.monotonic()
        if not right and on.answers_again() > count:
            right = now
        if now > cut + SILENCE:
            raise ProcessError(f"the gateway was not right again within {SILENCE:.0f} s")
        return bool(right) and now > right + AFTERMATH

    meter = Meter(on)
    cut = on.cut_changes()
    latencies = _ask_all(on, results, "resync", over, every=1 / (2 * RATE))
    busy, _, waited = meter.read()
    spent = busy / 100 * meter.seconds()
    results.others.append(waited)
    results.add("resync", f"{word}: until it is right again", "ms", (right - cut) * 1e3)
    results.add("resync", f"{word}: CPU of the gateway around it", "ms", spent * 1e3)
    results.add("resync", f"{word}: longest request of a client", "ms", max(latencies))
    say(f"    {word}: right again after {right - cut:.3f} s, longest request {max(latencies):.0f} ms")
    # A connection that is cut again and again is not made anew at once.
    time.sleep(SETTLE)


def _change_all(on: Stage) -> None:
    """Another weight for everybody, behind the back of whoever listens; the version says so, as after a failover."""
    sock = connect(on.server_port)
    records, _, version, *_ = keys(NAMESPACE)
    flat: list[bytes] = []
    for member, record in hash_of(on.server_port, records).items():
        value = json.loads(record)
        flat += [member, json.dumps(value | {"weight": value["weight"] % 100 + 1}).encode()]
    ask(sock, packed(b"HSET", records, *flat), packed(b"INCRBY", version, 1_000_000))
    sock.close()


def changes(bench: Bench, results: Results, say: Say) -> None:
    with stage(*bench.cores) as on:
        on.feed("plain=1")
        on.start_gateway()
        feeder = _feed(on, bench, changes=bench.changes)
        registrar = on.registrar()
        time.sleep(SETTLE)
        clients = {name: on.client(name) for name in ("plain", *_fleets())}
        for turn in range(bench.rounds):
            meter, number = Meter(on), 0
            lags: list[float] = []
            while meter.seconds() < bench.seconds:
                newcomer = turn * 1000 + number
                lags += _come_and_go(on, registrar, clients["plain"], "plain", newcomer, companions=1, pause=0.002)
                clients[f"fleet-{number % FLEETS}"].ask()
                number += 1
            gateway, server, waited = meter.read()
            results.add("changes", "lag", "ms", *lags)
            results.add("changes", "CPU of the gateway", "%", gateway)
            results.add("changes", "CPU of Valkey", "%", server)
            results.others.append(waited)
            say(f"    lag at most {max(lags):.0f} ms; gateway {gateway:.1f} %, Valkey {server:.1f} %")
            _punctual(results, "changes", feeder)
        for client in clients.values():
            _complain(results, "changes", client)
        behind = _come_and_go(on, registrar, clients["plain"], "plain", 9999, companions=1)
        results.add("changes", "lag at the very end", "ms", *behind)


# --- who comes and goes


def _newcomer(number: int) -> str:
    return f"127.200.{number // 250 % 250}.{number % 250 + 1}"


def _come_and_go(
    on: Stage, registrar: Told, client: Client, service: str, number: int, companions: int, pause: float = 0.0
) -> tuple[float, float]:
    """Register and take out once. Milliseconds from each call to the first request that shows it."""
    host = _newcomer(number)
    came = _come(on, registrar, client, service, host, pause=pause)
    registrar.say("deregister")
    gone = _left(client, host, companions, pause)
    return came * 1e3, max(0.0, gone - _called(registrar)) * 1e3


def _come(
    on: Stage, registrar: Told, client: Client, service: str, host: str, lease: float = 15.0, pause: float = 0.0
) -> float:
    """Seconds from the call to the first request that the newcomer answers."""
    registrar.say(f"register {service} {host} {on.instance_port} {lease:g} {lease / 3:g}")
    deadline = time.monotonic() + SILENCE
    while (answer := client.ask()).instance != host:
        _not_too_late(deadline, host)
        time.sleep(pause)
    return answer.asked - _called(registrar)


def _left(client: Client, host: str, companions: int, pause: float = 0.0) -> float:
    """When it was proven that `host` is not picked any more: since he was seen, all others have had their turn."""
    deadline = time.monotonic() + SILENCE
    proven, row = 0.0, 0
    while row < ROWS * (companions + 1):
        answer = client.ask()
        row = 0 if answer.instance == host else row + 1
        if row == companions + 1:
            proven = answer.asked
        _not_too_late(deadline, host)
        time.sleep(pause)
    return proven


def _not_too_late(deadline: float, host: str) -> None:
    if time.monotonic() > deadline:
        raise ProcessError(f"{host}: nothing happened within {SILENCE:.0f} s")


def _called(told: Told) -> float:
    """When the call was made that it has answered."""
    line = told.hear(10)
    if line.startswith("failed"):
        raise ProcessError(f"{told.child.name}: {line}")
    return float(line.split()[0])


# --- the fleet


def _fleets() -> list[str]:
    return [f"fleet-{number}" for number in range(FLEETS)]


def _feed(on: Stage, bench: Bench, changes: int = 0) -> Told:
    known = on.known()
    feeder = on.feed(*(f"{name}={bench.fleet // FLEETS}" for name in _fleets()), changes=changes)
    if not changes:
        on.wait_for(known + bench.fleet)
    return feeder


def _warm_memory(on: Stage) -> float:
    """Megabytes of the gateway after a second, in which it may give back what its start took."""
    on.known()
    time.sleep(1.0)
    return gateway_memory(on)


def _ask_all(on: Stage, results: Results, case: str, over: Callable[[], bool], every: float = 1 / RATE) -> list[float]:
    """Ask all fleets in turn, as `light_load` does."""
    clients = [on.client(name) for name in _fleets()]
    latencies = light_load(clients, every, over)
    for client in clients:
        _complain(results, case, client)
        client.close()
    return latencies


def _complain(results: Results, case: str, client: Client) -> None:
    if client.wrong:
        results.troubles.append(f"{case}: {client.wrong} of {client.asked} requests to {client.path} failed")


def _punctual(results: Results, case: str, feeder: Told) -> None:
    feeder.child.check()
    said = feeder.said()
    if said:
        results.troubles.append(f"{case}: the feeder could not keep up: {said} s")


CASES = {case.__name__: case for case in (routable, crash, fleet, resync, changes)}
