"""A configuration in the making: values found so far, where each came from, and everything that is wrong.

Strategy: the stages of parsing (file, environment, checks) write into one draft, and each problem is worded here once,
so that it always says where its value came from, be that a line or an environment variable. An option whose value was
refused is `broken`: later stages leave it alone, so that one slip is reported once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from wmesh.balance import STRATEGIES
from wmesh.config.schema import kind_of
from wmesh.config.wording import printable, quoted
from wmesh.errors import Problem


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: a line of a file, an environment variable, or neither (the default)."""

    source: str = ""
    line: int = 0
    variable: str = ""

    def __str__(self) -> str:
        if self.variable:
            return f"environment: {self.variable}"
        return f"{self.source}:{self.line}" if self.source else "default"


class Draft:
    """What the stages share.

    `declared` are all names that some `[service:NAME]` has, also bad ones; `strategies` all that a service may name.
    `parents` are the sections of services by those of routes: what a route does not say, its service says.
    """

    def __init__(self, source: str, strategies: Collection[str] = tuple(STRATEGIES)) -> None:
        self.source = source
        self.strategies = strategies
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.headers: dict[str, int] = {}
        self.services: list[str] = []
        self.routes: list[str] = []
        self.parents: dict[str, str] = {}
        self.declared: set[str] = set()
        self._values: dict[str, dict[str, Any]] = {}
        self._origins: dict[tuple[str, str], Origin] = {}
        self._broken: set[tuple[str, str]] = set()

    def put(self, section: str, option: str, value: Any, origin: Origin) -> None:
        """Take a value; a later stage replaces that of an earlier one."""
        self._values.setdefault(section, {})[option] = value
        self._origins[section, option] = origin
        self._broken.discard((section, option))

    def spoil(self, section: str, option: str, origin: Origin) -> None:
        """Remember that the option was given a value that cannot be used."""
        self._broken.add((section, option))
        self._origins[section, option] = origin

    def given(self, section: str, option: str) -> bool:
        """Whether file or environment give a usable value, in this very section."""
        return option in self._values.get(section, ())

    def sound(self, section: str, *options: str) -> bool:
        """Whether none of these options was given an unusable value."""
        return self._broken.isdisjoint((self._home(section, option), option) for option in options)

    def value(self, section: str, option: str) -> Any:
        """The given value, or the default."""
        section = self._home(section, option)
        if self.given(section, option):
            return self._values[section][option]
        kind = kind_of(section)
        assert kind is not None
        return kind.default(kind.options[option])

    def origin(self, section: str, option: str) -> Origin:
        return self._origins.get((self._home(section, option), option), Origin())

    def _home(self, section: str, option: str) -> str:
        """The section that says what this option is in `section`: itself, or its parent."""
        parent = self.parents.get(section)
        kind = kind_of(section)
        said = (section, option) in self._origins or (kind is not None and option in kind.options)
        return section if parent is None or said else parent

    def values_of(self, section: str) -> dict[str, Any]:
        return dict(self._values.get(section, {}))

    def complain(self, section: str, option: str, message: str, hint: str = "") -> None:
        """A problem with a value that was accepted on its own, where that value came from."""
        section, origin = self._home(section, option) if option else section, self.origin(section, option)
        if origin.variable:
            self.variable_problem(origin.variable, message, hint)
        else:
            self.file_problem(origin.line or self.headers.get(section, 0), section, option, message, hint)

    def file_problem(self, line: int, section: str, option: str, message: str, hint: str = "") -> None:
        section = quoted(section)[1:-1] if section else ""
        problem = Problem(self.source, line, section, option, printable(message), printable(hint))
        if problem not in self.problems:  # a route has it from its service, where it was told already
            self.problems.append(problem)

    def variable_problem(self, variable: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem("environment", 0, "", variable, printable(message), printable(hint)))
