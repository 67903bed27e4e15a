"""Strategies that other packages bring, by the entry point group `wmesh.strategies` (docs/strategies.rst).

Strategy: the names of all that are installed are found before the configuration is read, so that it may name them. Only
those that a service names are loaded, and each is tried on an empty fleet: whatever is wrong with one is a problem of
the configuration, told with the line that names it. A name twice, or one of a built-in, is a problem whoever uses it,
for nobody could say which of the two is meant. Once it runs, a strategy of somebody else is `Watched`: what it does
wrong is told, and the request goes on.

Reading what is installed touches the file system and loading runs other people's code, so this is no part of the pure
packages; and since `wmesh check` uses it, it imports no Twisted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from wmesh.balance import STRATEGIES, MakeStrategy
from wmesh.balance.round_robin import RoundRobin
from wmesh.config import Loaded, Origin, load, parse
from wmesh.config.wording import printable
from wmesh.errors import ConfigError, Problem
from wmesh.interfaces import Strategy
from wmesh.model import ServiceSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from wmesh.cluster.member import Member

GROUP = "wmesh.strategies"
OPTION = "load_balancing_strategy"

_name = re.compile(r"[a-z][a-z0-9_]{0,62}")


def configure(
    path: str, environ: Mapping[str, str], text: str | None = None
) -> tuple[Loaded, Mapping[str, MakeStrategy]]:
    """The configuration in a file, and all strategies that it can name and does. Raises `ConfigError`.

    Where its `text` is given, no file is read, and `path` is only what messages call it.
    """
    found = installed()
    names = (*STRATEGIES, *found)
    loaded = load(path, environ, names) if text is None else parse(text, path, environ, names)
    return loaded, {**STRATEGIES, **_load(loaded, found)}


def known() -> tuple[str, ...]:
    """All names that `load_balancing_strategy` may have here. Raises `ConfigError` where names clash."""
    return (*STRATEGIES, *installed())


def installed() -> Mapping[str, EntryPoint]:
    """The strategies of other packages, by name; nothing is imported. Raises `ConfigError` where names clash."""
    # Loading this takes longer than all of wmesh.config, and most commands read no configuration.
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    problems = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        if entry.name in STRATEGIES:
            problems.append(_problem(entry, "is the name of a built-in strategy", "rename it, or uninstall it"))
        elif not _name.fullmatch(entry.name):
            problems.append(_problem(entry, "is no name for a strategy", "use lower-case letters, digits and _"))
        elif entry.name in found:
            other = whose(found[entry.name])
            problems.append(_problem(entry, f"is also the name of a strategy of {other}", "uninstall one of the two"))
        found.setdefault(entry.name, entry)
    if problems:
        raise ConfigError(problems)
    return found


def whose(entry: EntryPoint) -> str:
    """The package that brings it, for people."""
    package = entry.dist
    return f"{package.name} {package.version}" if package is not None else "an unknown package"


def _problem(entry: EntryPoint, message: str, hint: str) -> Problem:
    return Problem(f"package {whose(entry)}", 0, "", f"entry point {GROUP}", f'"{entry.name}" {message}', hint)


def _load(loaded: Loaded, found: Mapping[str, EntryPoint]) -> Mapping[str, MakeStrategy]:
    makers: dict[str, MakeStrategy] = {}
    problems = []
    for spec in loaded.config.services:
        entry = found.get(spec.strategy)
        if entry is None:
            continue
        try:
            makers[spec.strategy] = maker = entry.load()
            wrong = fault(maker, spec)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what another package may raise, nobody knows
            wrong = f"cannot be loaded: {_said(error)}"
        if wrong:
            message = f'"{entry.name}" ({entry.value}, of {whose(entry)}) {wrong}'
            origin = loaded.origins[f"service:{spec.name}", OPTION]
            problems.append(_at(origin, f"service:{spec.name}", message))
    if problems:
        raise ConfigError(problems)
    return makers


def _at(origin: Origin, section: str, message: str) -> Problem:
    if origin.variable:
        return Problem("environment", 0, "", origin.variable, message)
    return Problem(origin.source, origin.line, section, OPTION, message)


def _said(error: BaseException) -> str:
    return printable(" ".join(f"{type(error).__name__}: {error}".split()))


def fault(maker: Any, spec: ServiceSpec) -> str:
    """What is wrong with what an entry point names, tried on an empty fleet; empty where nothing is."""
    if not callable(maker):
        return f"is a {type(maker).__name__}; should be a class or function that takes (spec, random)"
    try:
        strategy = maker(spec, Random())
    except Exception as error:  # noqa: BLE001 - as above
        return f"cannot be made: {_said(error)}; it is called with (spec, random)"
    missing = [name for name in ("rebuild", "pick", "scores") if not callable(getattr(strategy, name, None))]
    if missing:
        return f"makes a {type(strategy).__name__}, which is no strategy: it has no {' and no '.join(missing)}"
    try:
        strategy.rebuild(())
        picked = strategy.pick(b"", (), 0.0)
        strategy.scores(b"", 0.0)
    except Exception as error:  # noqa: BLE001 - as above
        return f"fails with an empty fleet: {_said(error)}"
    return "" if picked is None else f"picks {picked!r:.80} of an empty fleet; should be None"


def watched(makers: Mapping[str, MakeStrategy], complain: Callable[[str], None]) -> Mapping[str, MakeStrategy]:
    """The same, with those that are not built in `Watched`; `complain` is told what to tell the operator."""

    def watch(name: str, make: MakeStrategy) -> MakeStrategy:
        def made(spec: ServiceSpec, random: Random) -> Strategy:
            return Watched(
                make(spec, random),
                RoundRobin(spec, random),
                lambda what: complain(f"{spec.name}: strategy {name}: {what}"),
            )

        return made

    return {name: make if name in STRATEGIES else watch(name, make) for name, make in makers.items()}


class Watched:
    """Another package's strategy, held to what `Strategy` promises; where it breaks that, `instead` does its work.

    `complain` is told, once for each method, what went wrong.
    """

    def __init__(self, strategy: Strategy, instead: Strategy, complain: Callable[[str], None]) -> None:
        self._strategy = strategy
        self._instead = instead
        self._complain = complain
        self._told: set[str] = set()
        self._members: dict[Member, None] = {}

    def rebuild(self, members: Sequence[Member]) -> None:
        self._members = dict.fromkeys(members)
        self._instead.rebuild(members)
        try:
            self._strategy.rebuild(members)
        except Exception as error:  # noqa: BLE001 - as above
            self._tell("rebuild", _said(error))

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        try:
            member = self._strategy.pick(key, tried, now)
            if member in self._members and member not in tried:
                return member
        except Exception as error:  # noqa: BLE001 - as above
            self._tell("pick", _said(error))
            return self._instead.pick(key, tried, now)
        if self._members.keys() <= set(tried):
            return None
        self._tell("pick", f"{member!r:.80} is not one of the members that are left")
        return self._instead.pick(key, tried, now)

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        try:
            return [(member, float(score), str(words)) for member, score, words in self._strategy.scores(key, now)]
        except Exception as error:  # noqa: BLE001 - as above
            self._tell("scores", _said(error))
            return [(member, 0.0, "the strategy could not say") for member in self._members]

    def _tell(self, method: str, what: str) -> None:
        if method not in self._told:
            self._told.add(method)
            self._complain(f"{method} went wrong, and round_robin stands in (told once): {what}")
