"""Command line of the micro-benchmarks: `python -m bench.micro [SUBJECT…] [--only TEXT]`."""

from __future__ import annotations

import argparse
import importlib
import platform
import sys

from bench.micro.timing import TRIES, in_order, lines

SUBJECTS = ("heads", "routing", "balance", "cluster", "metrics", "exchange")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.micro", description="Time single functions of the hot path.")
    parser.add_argument("subject", nargs="*", default=SUBJECTS, help=f"of: {', '.join(SUBJECTS)} (default all)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only what has this in its label")
    parser.add_argument("--tries", type=int, default=TRIES, metavar="N", help=f"the best of N counts (default {TRIES})")
    chosen = parser.parse_args()
    unknown = [subject for subject in chosen.subject if subject not in SUBJECTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(SUBJECTS)}")
    print(f"{platform.python_implementation()} {platform.python_version()}, best of {chosen.tries}")
    for subject in chosen.subject:
        timings = importlib.import_module(f"bench.micro.{subject}").timings()
        timed = in_order((timing for timing in timings if chosen.only in timing.label), chosen.tries)
        if timed:
            print()
            print("\n".join(lines(subject, timed)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
