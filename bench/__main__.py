"""Command line of the benchmark: `python -m bench`. See bench/README.rst."""

from __future__ import annotations

import argparse
import sys

from bench.command import add_environment, add_output, interruptible, keep, say, today, whole, words
from bench.load import LoadError, wrk_version
from bench.peers import NGINX, PEERS
from bench.peers.base import places
from bench.records import CASES
from bench.report import page
from bench.run import run


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run wmesh beside its peers and compare.")
    add = parser.add_argument
    add("--cases", type=words(CASES), default=list(CASES), help=f"comma-separated, of: {', '.join(CASES)}")
    add("--peers", type=words(PEERS), default=list(PEERS), help=f"comma-separated, of: {', '.join(PEERS)}")
    add("--duration", type=whole, default=5, metavar="SECONDS", help="of one measurement (default 5)")
    add("--rounds", type=whole, default=3, metavar="N", help="turns that each peer gets (default 3)")
    add_output(parser)
    add_environment(parser)
    return parser


def measure(chosen: argparse.Namespace) -> int:
    try:
        wrk_version()
        results = run(
            {name: PEERS[name] for name in chosen.peers},
            places(chosen.peers_from),
            [CASES[name] for name in chosen.cases],
            chosen.duration,
            chosen.rounds,
            NGINX,
            say,
        )
    except LoadError as error:
        print(error, file=sys.stderr)
        return 2
    keep(chosen.output, today(), page(results), results.as_json())
    return 1 if results.troubled() else 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
