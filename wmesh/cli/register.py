"""`wmesh register --service NAME --port P -- command args…`: any program, unmodified, as an instance of the mesh.

Here are the arguments, and where the registry is: `--registry URL`, else the configuration of a gateway (`--config
FILE`, which also knows the service's health check, version, weight and tags), else the REDIS_* variables. What then
happens is in `wmesh.cli.companion`. A password belongs into REDIS_PASSWORD or the configuration: arguments of programs
can be read by everybody on the machine.

Exit status: that of the command, as a shell gives it (128 and the number of a signal that ended it; 127 no such
command); 1 if it was not started, 2 if called wrongly.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmesh.config import load, parse
from wmesh.errors import ConfigError, MeshError
from wmesh.model import CheckSpec, MeshConfig, ServiceSpec
from wmesh.plugins import known

if TYPE_CHECKING:
    from wmesh.cli.companion import Plan


def add(commands: Any) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "register",
        help="run a program as an instance of a service",
        usage="wmesh register --service NAME --port P [options] -- COMMAND [ARGUMENT ...]",
        description="Run a program, register it as an instance once its health check passes, send heartbeats with what"
        " it uses, and take it out of the registry when it ends. Signals are passed on to it; its exit status is ours.",
    )
    parser.add_argument("--service", metavar="NAME", required=True, help="the service that it is an instance of")
    parser.add_argument("--port", metavar="P", type=_port, help="the port at which the program listens")
    parser.add_argument("--host", help="how others reach this machine (default: its address towards the registry)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--registry", metavar="URL", help="redis://host:6379/0, rediss://…, redis+sentinel://… or unix:/path"
    )
    where.add_argument("--config", metavar="FILE", help="take registry and service from a gateway's configuration")
    parser.add_argument("--namespace", help="the registry's namespace (default: wmesh)")
    parser.add_argument("--health", metavar="PATH", help="registered when GET PATH passes (default: when it listens)")
    parser.add_argument("--id", help="the instance's id (default: host:port)")
    parser.add_argument("--version", help="the instance's version")
    parser.add_argument("--weight", type=int, help="its share of requests, 1 to 1000 (default: 1)")
    parser.add_argument("--tag", action="append", default=[], dest="tags", help="a tag; may be given again")
    parser.add_argument(
        "--metadata", action="append", default=[], type=_pair, metavar="KEY=VALUE", help="may be given again"
    )
    parser.add_argument("--quiet", action="store_true", help="say only what goes wrong")
    parser.add_argument("command", metavar="COMMAND", nargs="+", help="the program and its arguments, after --")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the program; answers its exit status."""
    try:
        plan = plan_for(arguments)
    except MeshError as error:
        for line in str(error).splitlines():
            print(f"wmesh: {line}", file=sys.stderr)
        return 1
    from twisted.internet import reactor

    from wmesh.cli.companion import accompany

    return accompany(reactor, plan)


def plan_for(arguments: argparse.Namespace) -> Plan:
    """What is to be done. Fails with MeshError, whose text may have several lines."""
    from wmesh.api import registry_target
    from wmesh.cli.companion import Plan

    config = _config(arguments)
    url = arguments.registry or config.registry.url
    if url == "memory:" and arguments.config is None and arguments.registry is None:
        raise MeshError("which registry? Give --registry URL or --config FILE, or set REDIS_HOST")
    if url == "embedded:" and arguments.config is not None:
        raise MeshError(
            f"{arguments.config}: the registry is embedded: in its gateway; while that runs, join by its socket: "
            f"--registry unix:{_socket(config)}"
        )
    registry_target(url)
    spec = next((spec for spec in config.services if spec.name == arguments.service), ServiceSpec(arguments.service))
    if arguments.config is not None and spec not in config.services:
        known = ", ".join(one.name for one in config.services) or "none"
        raise MeshError(f"{arguments.config} declares no service {arguments.service!r}; there are: {known}")
    port = arguments.port or spec.port
    if port is None:
        raise MeshError("at which port does the program listen? Give --port")
    declared = arguments.config is not None
    check = spec.check
    if arguments.health is not None:
        check = CheckSpec(path=arguments.health)
        if check.path and not check.path.startswith("/"):
            raise MeshError(f"--health {check.path}: a path begins with /, as in --health /health")
    return Plan(
        command=tuple(arguments.command),
        registry_url=url,
        service=arguments.service,
        port=port,
        host=arguments.host,
        id=arguments.id,
        version=arguments.version if arguments.version is not None else spec.version if declared else "",
        weight=arguments.weight if arguments.weight is not None else spec.weight,
        tags=tuple(arguments.tags) or spec.tags,
        metadata=_once(arguments.metadata),
        namespace=arguments.namespace or config.registry.namespace,
        lease=config.registry.lease,
        heartbeat=config.registry.heartbeat,
        check=check,
        quiet=arguments.quiet,
    )


def _config(arguments: argparse.Namespace) -> MeshConfig:
    """The gateway's configuration, or what the environment says without one. Fails with ConfigError."""
    try:
        if arguments.config is not None:
            return load(arguments.config, os.environ, known()).config
        # Whoever names the registry is not disturbed by what the environment says about another one.
        return parse("", "environment", {} if arguments.registry else os.environ, known()).config
    except ConfigError as error:
        raise ConfigError(error.problems) from None


def _socket(config: MeshConfig) -> Path:
    return Path(config.mesh.state_dir).absolute() / "registry.sock"


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r}: should be a whole number from 1 to 65535")
    return int(text)


def _once(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MeshError("--metadata: a key is given twice; give each key once")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: should be KEY=VALUE")
    return name, value
