"""What each feature costs a request: `python -m bench.features`.

One gateway has the same three instances behind it many times: as one service with everything switched off, and as one
for each feature with that alone switched on. `wrk` asks them in turns, the plain one beside each feature, so that
whatever the machine does meanwhile, it does to both: what counts is the median of the ratios of such pairs. A pair in
which somebody else took part of the gateway's core is asked again, and the quietest one counts. The first feature is
none at all, and tells how much to believe of the others. What is remembered of requests (`decisions`) is the gateway's
own matter, so that there is a second gateway for it. TLS to instances has `bench.upstream_tls`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import cpu
from bench.backend import backend_launch
from bench.command import add_environment, add_output, interruptible, keep, say, today, whole, words
from bench.load import LoadError, drive
from bench.measure import answers
from bench.peers import NGINX
from bench.peers.base import places
from bench.peers.wmesh import gateway, twistd
from bench.process import Child, children, free_ports, listening, wait_until
from bench.report import number, spread, table
from bench.run import BACKENDS, choose_cores

GATEWAY = """\
[gateway]
listen = tcp:{port}:backlog=4096:interface=127.0.0.1
admin_listen =
decisions = {decisions}

[registry]
url = memory:
"""

OFF = {
    "retry_attempts": "0",
    "circuit_breaker_enabled": "no",
    "outlier_detection": "no",
    "health_check_enabled": "no",
    "queue_length": "0",
    "max_connections": "0",
    "slow_start": "0",
}
"""Everything that a service can be without."""

CONNECTIONS = 64
QUIET = 0.05
"""The share of the gateway's core that others may take of a pair; more, and it is tried again."""
TRIES = 3


@dataclass(frozen=True, slots=True)
class Feature:
    """`options` are put over those of a service with nothing. `how` are words for the load script, of both halves of a
    pair. `remembers`: it is the gateway that has it. `stays`: the client shows the cookie that it was given."""

    name: str
    title: str
    options: dict[str, str] = field(default_factory=dict)
    how: tuple[str, ...] = ()
    remembers: bool = False
    stays: bool = False


def _strategy(name: str, title: str = "") -> Feature:
    return Feature(
        name.replace("_", "-"), title or f"instead of round_robin: {name}", {"load_balancing_strategy": name}
    )


FEATURES: tuple[Feature, ...] = (
    Feature("nothing", "nothing at all: how far to believe the rest"),
    Feature("retries", "retries armed: two more attempts, none needed", {"retry_attempts": "2"}),
    Feature("retries-put", "the same for a PUT of 1 KiB, kept for a replay", {"retry_attempts": "2"}, ("put",)),
    Feature("breaker", "a circuit breaker for each instance", {"circuit_breaker_enabled": "yes"}),
    Feature(
        "breaker-both",
        "circuit breakers for each instance and for the service",
        {"circuit_breaker_enabled": "yes", "circuit_breaker_scope": "both"},
    ),
    Feature("outliers", "outlier detection", {"outlier_detection": "yes"}),
    Feature(
        "checks",
        "active checks, one a second for each of three instances",
        {"health_check_enabled": "yes", "health_endpoint": "/small", "health_check_interval": "1s"},
    ),
    Feature("sticky-new", "sticky sessions: clients that get a cookie", {"sticky_sessions": "yes"}),
    Feature("sticky", "sticky sessions: clients that have one", {"sticky_sessions": "yes"}, stays=True),
    _strategy("weighted_round_robin"),
    _strategy("random"),
    _strategy("power_of_two"),
    _strategy("least_connections"),
    _strategy("least_response_time"),
    _strategy("resource_based"),
    _strategy("ip_hash"),
    _strategy("consistent_hash"),
    _strategy("first"),
    Feature("queue", "a queue of 100, empty", {"queue_length": "100"}),
    Feature("limit", "at most 1024 requests in flight", {"max_connections": "1024"}),
    Feature("instance-limit", "at most 500 for each instance", {"instance_max_connections": "500"}),
    Feature(
        "adaptive", "a limit that finds itself, 1000 at least", {"adaptive_concurrency": "yes", "adaptive_min": "1000"}
    ),
    Feature("timeout", "a time limit, told to the instance in a header", {"timeout_request": "10s"}),
    # All the above are asked the same again and again, which the gateway remembers where a feature lets it.
    Feature("nothing-varied", "nothing at all, no two requests alike", how=("varied",)),
    Feature(
        "sticky-varied", "sticky sessions, no two requests alike", {"sticky_sessions": "yes"}, ("varied",), stays=True
    ),
    Feature("timeout-varied", "a time limit, no two requests alike", {"timeout_request": "10s"}, ("varied",)),
    Feature("decisions", "what became of the last 1000 requests is remembered", remembers=True),
    Feature("default", "as it comes: all defaults of a service, without checks", dict.fromkeys(OFF, "")),
    Feature("default-varied", "as it comes, no two requests alike", dict.fromkeys(OFF, ""), ("varied",)),
)


def options_of(feature: Feature) -> dict[str, str]:
    """Of its service; those that are empty are left to their defaults."""
    merged = {**OFF, **feature.options}
    if feature.name.startswith("default"):
        merged["health_check_enabled"] = "no"
    return {name: value for name, value in merged.items() if value}


def mesh_ini(port: int, instances: Sequence[int], features: Sequence[Feature], decisions: int) -> str:
    """One gateway: a plain service, and one for each of these features."""
    parts = [GATEWAY.format(port=port, decisions=decisions)]
    where = ", ".join(f"127.0.0.1:{each}" for each in instances)
    for each in (Feature("plain", ""), *features):
        lines = [f"{name} = {value}" for name, value in options_of(each).items()]
        parts.append("\n".join((f"[service:{each.name}]", f"instances = {where}", *lines, "")))
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Pair:
    """The two figures of one pair, and what others took; see `Row`."""

    plain: float
    with_it: float
    others: float


@dataclass(slots=True)
class Row:
    """Microseconds of CPU for each request, pair by pair: of the plain service, and of the one with the feature.
    `others` is the share of the gateway's core that somebody else took meanwhile."""

    name: str
    title: str
    plain: list[float] = field(default_factory=list)
    with_it: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        self.plain.append(pair.plain)
        self.with_it.append(pair.with_it)
        self.others.append(pair.others)

    @property
    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.with_it, self.plain, strict=True)]

    @property
    def added(self) -> float:
        """Of the median ratio, at the median cost of a plain request."""
        return (statistics.median(self.ratios) - 1) * statistics.median(self.plain)


@dataclass(slots=True)
class Results:
    """`load` is the load average at the start."""

    started: str
    rounds: int
    seconds: int
    load: float
    rows: list[Row] = field(default_factory=list)

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def page(results: Results) -> str:
    rows = [
        [
            row.name,
            row.title,
            number(statistics.median(row.with_it)),
            f"{row.added:+.2f}",
            f"{statistics.median(row.ratios):.3f}",
            spread(row.ratios),
        ]
        for row in results.rows
    ]
    null = results.rows[0]
    others = [share for row in results.rows for share in row.others]
    parts = [
        f"# Cost of each feature, {results.started}",
        "Microseconds of the gateway's CPU for each small GET (1 KiB, ten header fields, 64 kept connections): with the"
        f" feature, and what it adds to the {number(statistics.median(null.plain))} of a service with everything"
        f" switched off. Medians of {results.rounds} pairs of {results.seconds} s each, by their ratios; min–max is of"
        " the ratios. See bench/README.rst.",
        f"Load average {results.load:.2f} at the start; others took {statistics.median(others):.1%} of the gateway's"
        f" core in the median pair, {max(others):.1%} in the worst. The row *{null.name}* compares equal with equal:"
        f" what is no further from 1 than its spread ({spread(null.ratios)}) is noise.",
        table(["feature", "what", "µs", "added µs", "ratio", "min–max"], rows),
    ]
    return "\n\n".join(parts) + "\n"


def cookie(port: int, name: str) -> str:
    """What a client of this service is given to stay with its instance: NAME=VALUE."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{name}/small")
        response = connection.getresponse()
        response.read()
        return response.getheader("Set-Cookie", "").partition(";")[0]
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Gateways:
    """Both of them run on `core`: `child` at `port` forgets at once what became of requests, `other` remembers."""

    child: Child
    port: int
    other: Child
    remembering: int
    core: int

    def pair(self, feature: Feature, seconds: int, plain_first: bool) -> Pair:
        """The quietest of some tries."""
        tries: list[Pair] = []
        while len(tries) < TRIES and not any(each.others <= QUIET for each in tries):
            tries.append(self.once(feature, seconds, plain_first))
        return min(tries, key=lambda each: each.others)

    def once(self, feature: Feature, seconds: int, plain_first: bool) -> Pair:
        how = feature.how
        if feature.stays:
            how = (f"cookie={cookie(self.port, feature.name)}", *how)
        with_it = (
            (self.other, self.remembering, "plain") if feature.remembers else (self.child, self.port, feature.name)
        )
        halves = [(self.child, self.port, "plain"), with_it]
        pids = [self.child.pid, self.other.pid]
        ticks, spent, clock = cpu.core_time(self.core).total, cpu.cpu_time(pids), time.monotonic()
        costs = [cost(*half, seconds, how) for half in (halves if plain_first else halves[::-1])]
        window = time.monotonic() - clock
        used = cpu.between(spent, cpu.cpu_time(pids)) / 1e9
        others = (cpu.core_time(self.core).total - ticks) / cpu.ticks_per_second() - used
        first, second = costs if plain_first else costs[::-1]
        return Pair(first, second, max(0.0, others / window))


def cost(child: Child, port: int, service: str, seconds: int, how: Sequence[str]) -> float:
    """Microseconds of the gateway's CPU for each request."""
    before = cpu.cpu_time([child.pid])
    load = drive(f"http://127.0.0.1:{port}/{service}/small", CONNECTIONS, seconds, how)
    spent = cpu.between(before, cpu.cpu_time([child.pid]))
    child.check()
    if not load.requests or load.describe_errors():
        raise LoadError(f"{service}: {load.describe_errors() or 'no answers'}")
    return spent / 1000 / load.requests


def run(features: Sequence[Feature], nginx: str | None, rounds: int, seconds: int, directory: Path) -> Results:
    core, others = choose_cores()
    results = Results(today(), rounds, seconds, os.getloadavg()[0])
    results.rows = [Row(each.name, each.title) for each in features]
    port, remembering, *instances = free_ports(2 + BACKENDS)
    (directory / "mesh.ini").write_text(mesh_ini(port, instances, features, 0))
    (directory / "remembering.ini").write_text(mesh_ini(remembering, instances, features[:0], 1000))
    binary = str(twistd())
    with children() as start:
        backend = start("backend", backend_launch(nginx, instances, directory, 4096), directory, others)
        wait_until(lambda: all(map(listening, instances)), backend)
        child = start("gateway", gateway(binary, directory / "mesh.ini"), directory, {core})
        other = start("remembering", gateway(binary, directory / "remembering.ini"), directory, {core})
        wait_until(lambda: answers(port, "/plain/small"), child)
        wait_until(lambda: answers(remembering, "/plain/small"), other)
        for each in features:
            if not each.remembers:
                wait_until(lambda name=each.name: answers(port, f"/{name}/small"), child)  # type: ignore[misc]
        gateways = Gateways(child, port, other, remembering, core)
        for turn in range(rounds + 1):  # the first warms up, and does not count
            for each, row in zip(features, results.rows, strict=True):
                if turn:
                    row.add(gateways.pair(each, seconds, plain_first=bool(turn % 2)))
                else:
                    gateways.once(each, seconds, plain_first=True)
            say(f"round {turn} of {rounds}" if turn else "warmed up")
    return results


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.features", description="What each feature costs a request.")
    add = parser.add_argument
    known = [feature.name for feature in FEATURES]
    add("--only", type=words(known), default=known, metavar="NAME,…", help=f"of: {', '.join(known)}")
    add("--rounds", type=whole, default=5, metavar="N", help="pairs for each feature (default 5)")
    add("--seconds", type=whole, default=1, metavar="S", help="for each half of a pair (default 1)")
    add_output(parser)
    add_environment(parser)
    return parser


def measure(chosen: argparse.Namespace) -> int:
    # What nothing at all costs is what the others are compared with.
    features = [feature for feature in FEATURES if feature.name in ("nothing", *chosen.only)]
    nginx = NGINX.find(places(chosen.peers_from))
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            results = run(features, nginx, chosen.rounds, chosen.seconds, Path(directory))
    except LoadError as error:
        print(error, file=sys.stderr)
        return 2
    keep(chosen.output, f"features-{results.started}", page(results), results.as_json())
    return 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
