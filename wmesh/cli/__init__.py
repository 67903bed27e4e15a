"""The `wmesh` command: one file a subcommand, and nothing but the choice between them here.

Strategy: each module in COMMANDS has `add(commands)`, which describes its arguments and sets `run` as their default,
and `run(arguments)`, which answers the exit status: 0 done, 1 not done, 2 called wrongly (argparse's own). To add a
command, write its file and name it in COMMANDS. A command that needs Twisted imports it inside `run`, so that the
others start at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from wmesh import __version__
from wmesh.cli import check, explain, instances, register, scripts, services

COMMANDS = (check, register, services, instances, explain, scripts)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answers its exit status. `argv` is without the program's name; None takes the process's own."""
    _open_standard_streams()
    parser = argparse.ArgumentParser("wmesh", description="A service-discovery and load-balancing gateway.")
    parser.add_argument("--version", action="version", version=f"wmesh {__version__}")
    commands: Any = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    # Names of files and services may hold what the terminal's encoding has not.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us (head, a pager) has seen enough; what is still buffered must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _open_standard_streams() -> None:
    """Whoever started us may have closed them: then nothing else may get their numbers, for they are handed on."""
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - it stays open
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - it stays open
