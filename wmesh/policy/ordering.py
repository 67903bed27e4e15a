"""In which order services start: dependencies first, then priority, then name.

Strategy: a service stands one level above the highest of its dependencies. All services of a level could start at the
same time; inside a level `deployment_priority` (lower first) and then the name decide, so that the order is total and
the same everywhere. Stopping is the same from the end. What does not fit (a dependency that is not declared, a cycle)
is a `ConfigError`; the reader of configuration files finds these first and says the line, so only programs that make
their own specs meet them here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wmesh.errors import ConfigError, Problem
from wmesh.model import ServiceSpec

Levels = tuple[tuple[ServiceSpec, ...], ...]


def levels(specs: Iterable[ServiceSpec]) -> Levels:
    """Services by level: those of level 0 depend on nothing, those of level n on something of level n - 1.

    Fails with ConfigError on an undeclared dependency or a cycle. O(services + dependencies), plus the sorting.
    """
    declared = {spec.name: spec for spec in specs}
    _check_declared(declared)
    cycle = find_cycle({name: spec.dependencies for name, spec in declared.items()})
    if cycle:
        raise ConfigError([_problem(cycle[0], f"services wait for each other: {' -> '.join(cycle)}")])
    depths: dict[str, int] = {}
    for name in declared:
        _measure(name, declared, depths)
    found: list[list[ServiceSpec]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for spec in sorted(declared.values(), key=lambda spec: (spec.deployment_priority, spec.name)):
        found[depths[spec.name]].append(spec)
    return tuple(tuple(level) for level in found)


def find_cycle(graph: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """One cycle as the path that closes it ("a", "b", "a"); empty if there is none. Unknown names lead nowhere."""
    finished: set[str] = set()
    for start in graph:
        # An explicit stack: a chain of services may be longer than Python's.
        path: list[str] = []
        stack = [(start, iter(tuple(graph[start])))] if start not in finished else []
        path.extend(name for name, _ in stack)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                finished.add(name)
                stack.pop()
                path.pop()
            elif following in path:
                return (*path[path.index(following) :], following)
            elif following in graph and following not in finished:
                stack.append((following, iter(tuple(graph[following]))))
                path.append(following)
    return ()


def _measure(start: str, declared: Mapping[str, ServiceSpec], depths: dict[str, int]) -> None:
    """Write the level of `start`, and of all it stands on, into `depths`."""
    stack = [start]
    while stack:
        name = stack[-1]
        missing = [other for other in declared[name].dependencies if other not in depths]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        depths[name] = 1 + max((depths[other] for other in declared[name].dependencies), default=-1)


def _check_declared(declared: Mapping[str, ServiceSpec]) -> None:
    problems = [
        _problem(spec.name, f"{other} is not declared")
        for spec in declared.values()
        for other in spec.dependencies
        if other not in declared
    ]
    if problems:
        raise ConfigError(problems)


def _problem(service: str, message: str) -> Problem:
    return Problem("services", 0, f"service:{service}", "dependencies", message)
