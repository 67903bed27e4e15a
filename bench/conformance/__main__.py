"""Command line: `python -m bench.conformance`. See bench/README.rst."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.command import add_environment, add_output, interruptible, keep, say, today, words
from bench.conformance import settings
from bench.conformance.play import play_all
from bench.conformance.report import Scores, page, score
from bench.conformance.settings import PROXIES
from bench.peers.base import Peer, Site, places
from bench.process import LOW_PORT, ProcessError, children, free_ports, listening, wait_until
from bench.run import find_peers
from tests.vectors import CATEGORIES

PATIENCE = 2.0
"""Envoy ends a connection whose answer broke off only after a second (its delayed close)."""
CONNECTIONS = 1024
FILES = 4096


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.conformance", description="How gateways read bad HTTP.")
    add = parser.add_argument
    add(
        "--only",
        type=words(CATEGORIES),
        default=list(CATEGORIES),
        metavar="NAME,…",
        help=f"of: {', '.join(CATEGORIES)}",
    )
    add("--peers", type=words(PROXIES), default=list(PROXIES), metavar="NAME,…", help=f"of: {', '.join(PROXIES)}")
    add_output(parser)
    add_environment(parser)
    return parser


def once(peer: Peer, binary: str, only: list[str]) -> Scores:
    """One proxy before one instance, through all vectors of these categories."""
    # Somewhere, not the lowest: whoever else tries a port that is free meanwhile would be taken for the proxy.
    port, behind = free_ports(2, range(LOW_PORT, LOW_PORT + random.randrange(1000, 8000)))
    with tempfile.TemporaryDirectory(prefix="bench-") as name, children() as start:
        directory = Path(name)
        site = Site(port, (behind,), directory, CONNECTIONS, FILES)
        proxy = start(peer.name, peer.launch(binary, site), directory, os.sched_getaffinity(0))
        wait_until(lambda: listening(port), proxy)
        chosen = {category: CATEGORIES[category] for category in only}
        found = asyncio.run(play_all(port, behind, chosen, PATIENCE))
        proxy.check()
        return found


def run(peers: Mapping[str, Peer], binaries: Mapping[str, str], only: list[str]) -> tuple[dict[str, Scores], list[str]]:
    """(scores by proxy, what could not be measured)."""
    results, failures = {}, []
    for name, binary in binaries.items():
        try:
            results[name] = once(peers[name], binary, only)
        except (ProcessError, OSError) as error:
            failures.append(f"{name}: FAILED: {error}")
            say(failures[-1])
        else:
            say(f"{name:<10}{score(results[name])}")
    return results, failures


def measure(chosen: argparse.Namespace) -> int:
    peers = {name: PROXIES[name] for name in chosen.peers}
    binaries = find_peers(peers, places(chosen.peers_from), say)
    results, failures = run(peers, binaries, chosen.only)
    if results:
        day = today()
        versions = {name: peers[name].version(binaries[name]) for name in results}
        keep(chosen.output, f"conformance-{day}", page(results, versions, day, settings.__doc__ or ""))
    return 1 if failures or not results else 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
