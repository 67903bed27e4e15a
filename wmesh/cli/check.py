"""`wmesh check CONFIG`: is this configuration good, and what does it amount to?

Strategy: problems go to standard error, one a line, in the form that editors follow (file:line: …), and make the exit
status 1. A good file is summed up on standard output: an operator should see at a glance whether the mesh that was
meant is the mesh that was written. Certificates and keys that services and the registry's URL name are read, and the
files of fixed answers, for those that are not there would stop the start. Nothing is started, connected to, or written,
and no Twisted is loaded.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Any

from wmesh.certificates import check_services
from wmesh.config import Loaded
from wmesh.config.routes import own_options
from wmesh.control.registry.tls import check_files
from wmesh.errors import ConfigError, RegistryError
from wmesh.model import MeshConfig, NamedInstances, ServiceSpec
from wmesh.plugins import configure
from wmesh.proxy.fallback import fixed_answer
from wmesh.registry_url import parse_target


def add(commands: Any) -> None:
    """Describe the arguments."""
    parser = commands.add_parser(
        "check",
        help="check a configuration file",
        description="Check a configuration file, with the environment variables that override it. Starts nothing."
        " Exit status: 0 good, 1 with problems, 2 called wrongly.",
    )
    parser.add_argument("config", metavar="CONFIG", help="the file, for example etc/mesh.ini")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the problems, or the summary."""
    try:
        loaded, _ = configure(arguments.config, os.environ)
        check_services(loaded.config.services, loaded.origins, arguments.config)
        for spec in loaded.config.services:
            fixed_answer(spec)
            for route in spec.routes:
                fixed_answer(spec.on(route), f"route:{route.name}" if route.name else "")
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    config = loaded.config
    urls = {"[registry] url": config.registry.url, "[gateway] cache_redis_url": config.gateway.cache_redis_url}
    for option, url in urls.items():
        try:
            _check_files(url)
        except RegistryError as error:
            print(f"{arguments.config}: {option}: {error}", file=sys.stderr)
            return 1
    for line in summary(arguments.config, loaded):
        print(line)
    return 0


def summary(source: str, loaded: Loaded) -> Iterator[str]:
    """A good configuration in a few lines: services with their routes, listeners, what the environment set, notes."""
    config = loaded.config
    yield f"{source}: good"
    yield f"registry   {_registry(config)}"
    yield f"listeners  {', '.join(config.gateway.listen)}"
    yield f"admin      {_admin(config)}"
    if config.services:
        yield f"services   {len(config.services)}"
        name_width = max(len(spec.name) for spec in config.services)
        source_width = max(len(_instances(spec)) for spec in config.services)
        strategy_width = max(len(spec.strategy) for spec in config.services)
        for spec in config.services:
            routes = ", ".join(map(str, spec.routes)) or "no route"
            columns = f"{spec.strategy:{strategy_width}}  {_instances(spec):{source_width}}  {routes}"
            yield f"  {spec.name:{name_width}}  {columns}"
            for route in spec.routes:
                if route.name:
                    own = ", ".join(f"{name} = {value or '(empty)'}" for name, value in own_options(route).items())
                    yield f"  {'':{name_width}}  [route:{route.name}] {route}: {own or 'as the service'}"
    for variable in sorted({origin.variable for origin in loaded.origins.values() if origin.variable}):
        yield f"override: {variable} in the environment"
    for note in config.notes:
        yield f"note: {note}"


def _check_files(url: str) -> None:
    """Fails with RegistryError if the registry's certificates and keys are not there, or do not fit together."""
    if url not in ("", "memory:", "embedded:"):
        check_files(parse_target(url))


def _registry(config: MeshConfig) -> str:
    """The URL without passwords."""
    url = config.registry.url
    return url if url in ("memory:", "embedded:") else parse_target(url).label


def _admin(config: MeshConfig) -> str:
    if not config.gateway.admin_listen:
        return "off"
    routes = ", ".join(map(str, config.gateway.admin_routes))
    return f"{config.gateway.admin_listen}{f', and on the listeners at {routes}' if routes else ''}"


def _instances(spec: ServiceSpec) -> str:
    if spec.instances:
        named = sum(isinstance(each, NamedInstances) for each in spec.instances)
        fixed = len(spec.instances) - named
        return ", ".join([*([f"{fixed} fixed"] if fixed else []), *([f"{named} by DNS"] if named else [])])
    if not spec.command:
        return "from the registry"
    low, high = spec.scaling.min_instances, spec.scaling.max_instances
    return f"{low} to {high} launched" if low < high else f"{low} launched"
