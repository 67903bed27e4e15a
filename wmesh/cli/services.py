"""`wmesh services`: the services of a running gateway, one line each.

Asks the admin side (see `wmesh.cli.admin`). Services that somebody registered but that the gateway's configuration does
not declare are shown, too, for that is often the misspelt name that one is looking for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Container, Iterator, Mapping
from typing import Any

from wmesh.cli.admin import Admin, AdminError, add_options, admin_for, complain
from wmesh.cli.shapes import REGISTRATIONS, SERVICES
from wmesh.cli.tables import table

HEAD = ("SERVICE", "STATUS", "HEALTHY", "TOTAL", "IN FLIGHT", "STRATEGY", "ROUTES", "WHY")
NUMBERS = ("HEALTHY", "TOTAL", "IN FLIGHT")


def add(commands: Any) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "services",
        help="show the services of a running gateway",
        description="Show the services of a running gateway. Exit status: 0 shown, 1 not reached, 2 called wrongly.",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or the JSON."""
    try:
        admin = admin_for(arguments)
        services = admin.get("services", shape=SERVICES)["services"]
        strangers = undeclared(admin, services)
    except AdminError as error:
        return complain(error)
    if arguments.json:
        print(json.dumps({"services": services, "undeclared": strangers}, indent=2))
        return 0
    for line in lines(services, strangers):
        print(line)
    return 0


def undeclared(admin: Admin, services: Container[str]) -> dict[str, list[dict[str, Any]]]:
    """What is registered for services that the gateway does not declare: instances by service."""
    registered = admin.get("service-mesh", "registry", shape=REGISTRATIONS)["services"]
    return {name: records for name, records in registered.items() if name not in services and records}


def lines(services: Mapping[str, Mapping[str, Any]], strangers: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """The table, in the order of the configuration."""
    rows = [
        (
            name,
            report["status"],
            str(report["healthy"]),
            str(report["total"]),
            str(report["in_flight"]),
            report["strategy"],
            ", ".join(report["routes"]) or "-",
            report["reason"],
        )
        for name, report in services.items()
    ]
    rows += [
        (
            name,
            "undeclared",
            "-",
            str(len(records)),
            "-",
            "-",
            "-",
            "registered, but not in this gateway's configuration",
        )
        for name, records in strangers.items()
    ]
    if rows:
        yield from table(HEAD, rows, NUMBERS)
    else:
        yield "no service is declared or registered"
