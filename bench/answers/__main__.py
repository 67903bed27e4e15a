"""Command line: `python -m bench.answers`. See bench/README.rst."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.answers import settings
from bench.answers.faults import AFTER, BEFORE, EARLY, LATER, Fault
from bench.answers.instance import Instance, black_hole
from bench.answers.play import Outcome, play, play_early, ready
from bench.answers.report import Results, cell, page
from bench.answers.settings import PROXIES
from bench.command import add_environment, add_output, interruptible, keep, say, today, words
from bench.peers.base import Peer, Site, places
from bench.process import LOW_PORT, ProcessError, Start, children, free_ports
from bench.run import find_peers

REFUSES = Fault("refuses")
SWALLOWS = Fault("swallows")
"""Connections are refused; they are neither refused nor accepted."""

GROUPS: Mapping[str, Sequence[Fault]] = {
    "before": (REFUSES, SWALLOWS, *BEFORE, *LATER),
    "after": AFTER,
    "early": EARLY,
}
AT_ONCE = 4
CONNECTIONS, FILES = 1024, 4096


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.answers", description="What clients see of bad answers.")
    add = parser.add_argument
    add("--only", type=words(GROUPS), default=list(GROUPS), metavar="NAME,…", help=f"of: {', '.join(GROUPS)}")
    add("--peers", type=words(PROXIES), default=list(PROXIES), metavar="NAME,…", help=f"of: {', '.join(PROXIES)}")
    add_output(parser)
    add_environment(parser)
    return parser


@contextlib.contextmanager
def nobody(fault: Fault, unused: int) -> Iterator[int | None]:
    """The port of an instance that cannot be connected to, for the two faults which are that."""
    if fault is SWALLOWS:
        port, let_go = black_hole()
        try:
            yield port
        finally:
            let_go()
    else:
        yield unused if fault is REFUSES else None


async def once(peer: Peer, binary: str, group: str, fault: Fault, ports: tuple[int, int], start: Start) -> Outcome:
    """One proxy and one fault: `ports` are the proxy's, and one where nobody listens."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, nobody(fault, ports[1]) as gone:
        directory = Path(name)
        async with Instance() as bad, Instance() as good:
            site = Site(ports[0], (gone or bad.port, good.port), directory, CONNECTIONS, FILES)
            proxy = start(peer.name, peer.launch(binary, site), directory, os.sched_getaffinity(0))
            try:
                await ready(ports[0])
                if gone is None:
                    bad.fault = fault
                if group == "early":
                    good.fault = fault
                bad.requests.clear()
                good.requests.clear()
                if group == "early":
                    found = await play_early(ports[0], bad, good)
                else:
                    found = await play(ports[0], bad, good, (b"good", b"evil") if fault.mended else (b"good",))
                proxy.check()
            except TimeoutError:
                proxy.check()
                raise ProcessError(f"{peer.name} was not ready\n{proxy.tail()}") from None
            finally:
                # At once: what else is being played would stand still meanwhile, and look as if it hung.
                proxy.stop(0.0)
            return found


async def play_all(peer: Peer, binary: str, groups: Sequence[str], start: Start, results: Results) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    plays = [(group, fault) for group in groups for fault in GROUPS[group]]
    # Somewhere, not the lowest: a port that refuses looks free to whoever else looks for one meanwhile.
    free = free_ports(2 * len(plays), range(LOW_PORT, LOW_PORT + random.randrange(1000, 4000)))

    async def one(number: int, group: str, fault: Fault) -> None:
        async with turns:
            try:
                ports = free[2 * number], free[2 * number + 1]
                found = await once(peer, binary, group, fault, ports, start)
            except (ProcessError, OSError) as error:
                results.failures.append(f"{peer.name}, {fault}: FAILED: {error}")
                say(results.failures[-1])
            else:
                results.outcomes[group][fault.name][peer.name] = found
                say(f"{peer.name:<9}{fault.name:<28}{cell(group, found)}")

    await asyncio.gather(*(one(number, *each) for number, each in enumerate(plays)))


def run(peers: Mapping[str, Peer], binaries: Mapping[str, str], groups: Sequence[str]) -> Results:
    """Play everything. A play that cannot be made is noted, and the run goes on."""
    results = Results(
        started=today(),
        versions={name: peers[name].version(binary) for name, binary in binaries.items()},
        settings=settings.__doc__ or "",
        outcomes={group: {fault.name: {} for fault in GROUPS[group]} for group in groups},
    )
    for name, binary in binaries.items():
        with children() as start:
            asyncio.run(play_all(peers[name], binary, groups, start, results))
    return results


def measure(chosen: argparse.Namespace) -> int:
    peers = {name: PROXIES[name] for name in chosen.peers}
    results = run(peers, find_peers(peers, places(chosen.peers_from), say), chosen.only)
    keep(chosen.output, f"answers-{results.started}", page(results), results.as_json())
    return 1 if results.failures else 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
