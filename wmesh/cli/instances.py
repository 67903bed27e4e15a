"""`wmesh instances SERVICE [--watch]`: the instances of one service, with the reasons why some get no requests.

Strategy: the admin side is asked once, or, with --watch, every second. To a terminal the table is then drawn anew in
place; anywhere else it is printed again when it changed, and with --json each change is one JSON object on a line of
its own, so that `wmesh instances pricing --watch --json | program` works. A gateway that goes away while it is watched
is said once and waited for; only a watch that never began ends with status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from wmesh.cli.admin import Admin, AdminError, add_options, admin_for, complain
from wmesh.cli.shapes import REGISTRATIONS, SERVICE
from wmesh.cli.tables import clean, size, span, table

HEAD = ("ID", "ADDRESS", "HEALTH", "TAKES", "SINCE", "FLIGHT", "PICKS", "FAILED", "CPU", "MEMORY", "VERSION", "WHY NOT")
NUMBERS = ("SINCE", "FLIGHT", "PICKS", "FAILED", "CPU", "MEMORY")
PAUSE = 1.0

_CLEAR = "\x1b[H\x1b[2J"
# What changes from look to look without being news.
_RESTLESS = ("since_seconds", "age_seconds")


def add(commands: Any) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "instances",
        help="show the instances of a service",
        description="Show the instances of a service of a running gateway."
        " Exit status: 0 shown, 1 not reached or no such service, 2 called wrongly.",
    )
    parser.add_argument("service", metavar="SERVICE", help="the name of the service")
    parser.add_argument("--watch", action="store_true", help="go on showing, until interrupted")
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print once, or again and again."""
    try:
        admin = admin_for(arguments)
        report = ask(admin, arguments.service)
    except AdminError as error:
        return complain(error)
    if not arguments.watch:
        _print(report, arguments.json)
        return 0
    try:
        _watch(admin, arguments.service, report, arguments.json)
    except KeyboardInterrupt:
        return 0
    return 0


def ask(admin: Admin, service: str) -> dict[str, Any]:
    """The report of a service. One that is not declared has only what stands in the registry. Fails with AdminError."""
    try:
        report: dict[str, Any] = admin.get("services", service, shape=SERVICE)
    except AdminError as error:
        if error.status != 404:
            raise
        records = admin.get("service-mesh", "registry", shape=REGISTRATIONS)["services"].get(service)
        if not records:
            raise
        return {
            "name": service,
            "status": "undeclared",
            "reason": "registered, but not in this gateway's configuration",
            "instances": records,
        }
    return report


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The table, with one line about the service above it."""
    yield clean(f"{report['name']}: {report['status']}{', ' if report['reason'] else ''}{report['reason']}")
    rows = [_row(instance) for instance in report["instances"]]
    if rows:
        yield from table(HEAD, rows, NUMBERS)


def _row(instance: Mapping[str, Any]) -> tuple[str, ...]:
    load = instance.get("load") or {}
    cpu = load.get("cpu_percent")
    available = instance.get("available")
    return (
        instance["id"],
        instance.get("address") or f"{instance['host']}:{instance['port']}",
        instance.get("health") or "-",
        "-" if available is None else "yes" if available else "no",
        span(instance.get("since_seconds")),
        _number(instance.get("in_flight")),
        _number(instance.get("picks")),
        _number(instance.get("failures")),
        "-" if cpu is None else f"{cpu:.1f}%",
        size(load.get("memory_bytes")),
        instance["version"] or "-",
        "; ".join(instance.get("reasons") or ()),
    )


def _number(value: object) -> str:
    return "-" if value is None else str(value)


def _print(report: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(lines(report)))


def _watch(admin: Admin, service: str, report: dict[str, Any] | None, as_json: bool) -> None:
    in_place = sys.stdout.isatty() and not as_json
    last, problem = "", ""
    while True:
        if report is not None:
            text = json.dumps(report) if as_json else "\n".join(lines(report))
            state = _state(report)
            if in_place:
                print(f"{_CLEAR}{text}", flush=True)
            elif state != last:
                print(text, flush=True)
            last, problem = state, ""
        time.sleep(PAUSE)
        try:
            report = ask(admin, service)
        except AdminError as error:
            report = None
            if str(error) != problem:
                problem = str(error)
                complain(error)


def _state(report: Mapping[str, Any]) -> str:
    """What of a report is news when it changes."""
    instances = [
        {name: value for name, value in instance.items() if name not in _RESTLESS} for instance in report["instances"]
    ]
    return json.dumps({"status": report["status"], "reason": report["reason"], "instances": instances})
