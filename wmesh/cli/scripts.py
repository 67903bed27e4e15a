"""`wmesh scripts [NAME …] [--directory DIR]`: the registry's Lua scripts, for `redis-cli` and other languages.

Each is one whole text, the prelude included, to the byte what a gateway loads: so its SHA-1 is the name by which the
server knows it already. Without a name they are listed; with --directory they are written out, as NAME.lua; otherwise
the one that is named goes to standard output, as `redis-cli -x SCRIPT LOAD` takes it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from wmesh.control.registry.scripts import ALL

SCRIPTS = {script.name: script for script in ALL}


def add(commands: Any) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "scripts",
        help="hand out the registry's Lua scripts, for redis-cli and other languages",
        description="List the registry's Lua scripts with their SHA-1; print one; or write them to a directory."
        " Exit status: 0 done, 1 not written, 2 called wrongly.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", type=_known, help=", ".join(SCRIPTS))
    parser.add_argument("--directory", metavar="DIR", type=Path, help="write DIR/NAME.lua: all, or those named")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List, print or write."""
    names = arguments.names or list(SCRIPTS)
    if arguments.directory is not None:
        return _write(names, arguments.directory)
    if not arguments.names:
        for script in ALL:
            print(f"{script.name:10}  {script.sha.decode()}")
        return 0
    if len(names) > 1:
        print("wmesh: one at a time goes to standard output; give --directory DIR for more", file=sys.stderr)
        return 2
    sys.stdout.write(SCRIPTS[names[0]].text.decode())
    return 0


def _known(name: str) -> str:
    if name not in SCRIPTS:
        raise argparse.ArgumentTypeError(f"no script {name!r}; there are: {', '.join(SCRIPTS)}")
    return name


def _write(names: list[str], directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = directory / f"{name}.lua"
            path.write_bytes(SCRIPTS[name].text)
            print(path)
    except OSError as error:
        print(f"wmesh: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0
