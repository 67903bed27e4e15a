"""Command line: `python -m bench.faults`. See bench/README.rst."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.command import add_environment, add_output, interruptible, keep, say, today, whole, words
from bench.faults import settings
from bench.faults.figures import Figures, figures
from bench.faults.fleet import Fleet, FleetError, launch
from bench.faults.play import Play, play
from bench.faults.report import Results, page, progress
from bench.faults.scenarios import INSTANCES, SCENARIOS, Scenario
from bench.faults.settings import PROXIES
from bench.measure import answers
from bench.peers.base import Peer, Places, Site, places
from bench.process import LOW_PORT, ProcessError, allow_files, children, free_ports, listening, wait_until
from bench.run import find_peers

SECONDS = 6
FILES = 8192
CONNECTIONS = 4096


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description="What clients see when instances fail.")
    add = parser.add_argument
    add("--only", type=words(SCENARIOS), default=list(SCENARIOS), metavar="NAME,…", help=f"of: {', '.join(SCENARIOS)}")
    add("--peers", type=words(PROXIES), default=list(PROXIES), metavar="NAME,…", help=f"of: {', '.join(PROXIES)}")
    add("--seconds", type=whole, default=SECONDS, metavar="N", help=f"that a fault lasts (default {SECONDS})")
    add_output(parser)
    add("--repeat", type=earlier, metavar="FILE", help="the JSON of a run in which these scenarios are to be replaced")
    add_environment(parser)
    return parser


def earlier(text: str) -> Results:
    """The results in the file of that name."""
    try:
        return Results.from_json(Path(text).read_text())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    except (KeyError, ValueError, TypeError, AttributeError):
        raise argparse.ArgumentTypeError(f"{text} holds no results of bench.faults") from None


def run(peers: Mapping[str, Peer], where: Places, scenarios: Sequence[Scenario], seconds: int) -> Results:
    """Play everything. A play that cannot be made is noted, and the run goes on."""
    binaries = find_peers(peers, where, say)
    allow_files(FILES)
    results = Results(
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        settings=" ".join((settings.__doc__ or "").split()),
        versions={name: peers[name].version(binary) for name, binary in binaries.items()},
    )
    for scenario in scenarios:
        results.figures[scenario.name] = {}
        for name, binary in binaries.items():
            say(f"{scenario.name:<12}{name}")
            try:
                found = once(peers[name], binary, scenario, seconds)
            except (ProcessError, FleetError, OSError) as error:
                results.failures.append(f"{name} in {scenario.name}: FAILED: {error}")
                say(f"    FAILED: {error}")
            else:
                results.figures[scenario.name][name] = found
                say(progress(found))
    return results


def once(peer: Peer, binary: str, scenario: Scenario, seconds: int) -> Figures:
    """One proxy in one scenario; instances and proxy have processes of their own, which end with it."""
    # Somewhere, not the lowest: a port that refuses looks free to whoever else looks for one meanwhile.
    below = range(LOW_PORT, LOW_PORT + random.randrange(1000, 2000))
    control, port, *instances = free_ports(INSTANCES + 2, below)
    cores = os.sched_getaffinity(0)

    async def prepare() -> None:
        async with Fleet(control, INSTANCES) as fleet:
            await fleet.become(scenario.usual, scenario.before)

    async def perform() -> Play:
        async with Fleet(control, INSTANCES) as fleet:
            return await play(scenario, port, fleet, seconds)

    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        directory = Path(name)
        wait_until(lambda: listening(control), start("instances", launch(control, instances), directory, cores))
        asyncio.run(prepare())
        site = Site(port, tuple(instances), directory, CONNECTIONS, FILES)
        proxy = start(peer.name, peer.launch(binary, site), directory, cores)
        wait_until(lambda: answers(port, "/work"), proxy)
        played = asyncio.run(perform())
        proxy.check()
        return figures(played)


def measure(chosen: argparse.Namespace) -> int:
    peers = {name: PROXIES[name] for name in chosen.peers}
    results = run(peers, places(chosen.peers_from), [SCENARIOS[name] for name in chosen.only], chosen.seconds)
    if chosen.repeat is not None:
        try:
            results = results.within(chosen.repeat)
        except ValueError as error:
            print(f"not put into the earlier run, but saved alone: {error}", file=sys.stderr)
    keep(chosen.output, f"faults-{today()}", page(results), results.as_json())
    return 1 if results.failures else 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
