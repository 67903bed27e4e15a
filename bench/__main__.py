"""Command line of the benchmark: `python -m bench`. See bench/README.rst."""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from bench.load import LoadError, wrk_version
from bench.peers import NGINX, PEERS
from bench.peers.base import places
from bench.records import CASES
from bench.report import page
from bench.run import run

RESULTS = Path(__file__).with_name("results")


def words(known: Iterable[str]) -> Callable[[str], list[str]]:
    """A parser of comma-separated names out of `known`."""
    names_known = tuple(known)

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in names_known:
                raise argparse.ArgumentTypeError(f"unknown: {name}; known are {', '.join(names_known)}")
        return names

    return parse


def whole(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above zero")
    return int(text)


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run wmesh beside its peers and compare.")
    add = parser.add_argument
    add("--cases", type=words(CASES), default=list(CASES), help=f"comma-separated, of: {', '.join(CASES)}")
    add("--peers", type=words(PEERS), default=list(PEERS), help=f"comma-separated, of: {', '.join(PEERS)}")
    add("--duration", type=whole, default=5, metavar="SECONDS", help="of one measurement (default 5)")
    add("--rounds", type=whole, default=3, metavar="N", help="turns that each peer gets (default 3)")
    add("--output", type=Path, default=RESULTS, metavar="DIR", help="for the tables (default bench/results)")
    add("--peers-from", type=Path, metavar="VENV", help="another virtual environment that holds the peers' wheels")
    return parser


def result_files(directory: Path, day: str) -> tuple[Path, Path]:
    """Names for Markdown and JSON that are not taken yet: `2025-01-31`, then `2025-01-31-2`."""
    stem, count = day, 1
    while (directory / f"{stem}.md").exists() or (directory / f"{stem}.json").exists():
        count += 1
        stem = f"{day}-{count}"
    return directory / f"{stem}.md", directory / f"{stem}.json"


def end(number: int, frame: FrameType | None) -> None:
    """Once; whoever is impatient must not interrupt the ending of the children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    chosen = options().parse_args()
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        wrk_version()
        results = run(
            {name: PEERS[name] for name in chosen.peers},
            places(chosen.peers_from),
            [CASES[name] for name in chosen.cases],
            chosen.duration,
            chosen.rounds,
            NGINX,
            lambda line: print(line, flush=True),
        )
    except LoadError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: everything is stopped, nothing is saved", file=sys.stderr)
        return 130
    text = page(results)
    chosen.output.mkdir(parents=True, exist_ok=True)
    markdown, data = result_files(chosen.output, datetime.datetime.now(datetime.UTC).date().isoformat())
    markdown.write_text(text)
    data.write_text(results.as_json())
    print(f"\n{text}\nsaved as {markdown} and {data}")
    return 1 if results.troubled() else 0


if __name__ == "__main__":
    sys.exit(main())
