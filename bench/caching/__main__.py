"""Command line: `python -m bench.caching suite DIRECTORY` and `python -m bench.caching hits`. See bench/README.rst."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.caching import hits, suite
from bench.caching.settings import PROXIES
from bench.command import add_environment, interruptible, say, whole, words
from bench.load import LoadError, wrk_version
from bench.peers.base import places
from bench.run import find_peers


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.caching", description="Measure the cache.")
    commands = parser.add_subparsers(dest="command", required=True)
    playing = commands.add_parser("suite", help="run the public suite for HTTP caches (needs Node.js)")
    playing.add_argument("directory", type=Path, help="http-tests/cache-tests, unpacked, after `npm install` in it")
    measuring = commands.add_parser("hits", help="what a hit costs, beside others")
    measuring.add_argument("--peers", type=words(PROXIES), default=list(PROXIES), metavar="NAME,…")
    measuring.add_argument("--duration", type=whole, default=5, metavar="SECONDS")
    measuring.add_argument("--rounds", type=whole, default=3, metavar="N")
    add_environment(measuring)
    return parser


def play(directory: Path) -> int:
    gateway = PROXIES["wmesh"].find(places(None))
    if gateway is None or not (directory / "test-engine").is_dir():
        print(f"there is no suite in {directory}, or no twistd here", file=sys.stderr)
        return 2
    rows = suite.play(directory.resolve(), gateway)
    print(suite.page(rows))
    return 0 if suite.good_enough(rows) else 1


def measure(chosen: argparse.Namespace) -> int:
    where = places(chosen.peers_from)
    peers = {name: PROXIES[name] for name in chosen.peers}

    try:
        wrk_version()
    except LoadError as error:
        print(error, file=sys.stderr)
        return 2
    binaries = find_peers(peers, where, say)
    nginx = PROXIES["nginx"].find(where)
    if nginx is None:
        print(f"nginx is the backend: {PROXIES['nginx'].how_to_get}", file=sys.stderr)
        return 2
    found = hits.measure(peers, binaries, nginx, chosen.duration, chosen.rounds, say)
    print("\n" + hits.hits_table(found))
    if "wmesh" in binaries:
        each = hits.memory(peers["wmesh"], binaries["wmesh"], nginx)
        print(f"\nwmesh: {each:,.0f} bytes of memory for each stored answer of 1 KiB")
        print(f"wmesh: {hits.crowd(peers['wmesh'], binaries['wmesh'])} requests to the backend for a crowd of 200")
    return 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: play(chosen.directory) if chosen.command == "suite" else measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
