"""Command line of the benchmark of the registry: `python -m bench.registry`. See bench/README.rst."""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
from dataclasses import asdict

from bench.command import add_output, interruptible, keep, say, today, whole, words
from bench.computer import this_computer
from bench.process import ProcessError, allow_files
from bench.registry.cases import CASES, TITLES, Bench
from bench.registry.records import Machine, Results, page
from bench.registry.stage import cores
from bench.run import pace
from wmesh.control.registry.embedded import find_server
from wmesh.errors import RegistryError


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.registry", description="Measure what a fleet costs.")
    add = parser.add_argument
    add("--cases", type=words(CASES), default=list(CASES), help=f"comma-separated, of: {', '.join(CASES)}")
    add("--fleet", type=whole, default=10_000, metavar="N", help="instances (default 10000)")
    add("--changes", type=whole, default=1000, metavar="N", help="changes a second (default 1000)")
    add("--registrations", type=whole, default=300, metavar="N", help="each checked and unchecked (default 300)")
    add("--crashes", type=whole, default=10, metavar="N", help="(default 10)")
    add("--duration", type=whole, default=20, metavar="SECONDS", help="of one window (default 20)")
    add("--rounds", type=whole, default=3, metavar="N", help="windows of a case (default 3)")
    add_output(parser)
    return parser


def describe_machine() -> Machine:
    told = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=False).stdout
    return Machine(
        **asdict(this_computer()),
        server=" ".join(told.split()[:3]),
        gateway_core=cores()[0],
        pace=pace(),
    )


def measure(chosen: argparse.Namespace) -> int:
    wanted = {name: getattr(chosen, name) for name in ("fleet", "changes", "registrations", "crashes", "duration")}
    try:
        machine = describe_machine()
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 2
    results = Results(datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), machine, wanted)
    places = cores()
    bench = Bench(
        places,
        chosen.registrations,
        chosen.crashes,
        chosen.fleet,
        chosen.rounds,
        chosen.duration,
        chosen.changes,
    )
    if (files := allow_files(chosen.fleet + 2000)) < chosen.fleet + 2000:
        print(f"the limit of open files is {files}, too few for {chosen.fleet} instances (see ulimit -n)")
        return 2
    os.sched_setaffinity(0, places[1])
    for name in chosen.cases:
        say(f"{name}: {TITLES[name]}")
        try:
            CASES[name](bench, results, say)
        except (ProcessError, OSError) as error:
            print(f"    FAILED: {error}")
            results.troubles.append(f"{name} FAILED: {str(error).splitlines()[0]}")
    keep(chosen.output, f"registry-{today()}", page(results, TITLES), results.as_json())
    return 1 if results.troubles else 0


def main() -> int:
    chosen = options().parse_args()
    return interruptible(lambda: measure(chosen))


if __name__ == "__main__":
    sys.exit(main())
