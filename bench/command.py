"""What the command lines of all benchmarks share: arguments that are checked, an end that leaves nothing behind, and
tables that are printed and kept.

What is measured, and what it looks like, is each benchmark's own; here nothing is known of it but its text.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

RESULTS = Path(__file__).with_name("results")

# --- arguments


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


def add_output(parser: argparse.ArgumentParser) -> None:
    """Where the tables are kept."""
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="DIR", help="for the tables (default bench/results)"
    )


def add_environment(parser: argparse.ArgumentParser) -> None:
    """Where else the other proxies may be."""
    parser.add_argument(
        "--peers-from", type=Path, metavar="VENV", help="another virtual environment that holds the peers' wheels"
    )


# --- the run


def say(line: str) -> None:
    """Progress, at once."""
    print(line, flush=True)


def interruptible(measure: Callable[[], int]) -> int:
    """Exit status: that of `measure`, or 130 where Ctrl-C or SIGTERM came first. Then, too, it ends what it started."""
    signal.signal(signal.SIGINT, _end)
    signal.signal(signal.SIGTERM, _end)
    try:
        return measure()
    except KeyboardInterrupt:
        print("interrupted: everything is stopped, nothing is saved", file=sys.stderr)
        return 130


def _end(number: int, frame: FrameType | None) -> None:
    """Once; whoever is impatient must not interrupt the ending of the children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


# --- results


def today() -> str:
    """2025-01-31, of UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def keep(directory: Path, stem: str, page: str, data: str | None = None) -> None:
    """Print the page, and keep it as STEM.md in `directory`; the `data` behind it, if there are any, as STEM.json."""
    directory.mkdir(parents=True, exist_ok=True)
    markdown, beside = result_files(directory, stem)
    markdown.write_text(page)
    if data is not None:
        beside.write_text(data)
    print(f"\n{page}\nsaved as {markdown}" + ("" if data is None else f" and {beside}"))


def result_files(directory: Path, stem: str) -> tuple[Path, Path]:
    """Names for Markdown and JSON that are not taken yet: `2025-01-31`, then `2025-01-31-2`."""
    free, count = stem, 1
    while (directory / f"{free}.md").exists() or (directory / f"{free}.json").exists():
        count += 1
        free = f"{stem}-{count}"
    return directory / f"{free}.md", directory / f"{free}.json"
