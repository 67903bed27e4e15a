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
    """

    def __init__(self, source: str, strategies: Collection[str] = tuple(STRATEGIES)) -> None:
        self.source = source
        self.strategies = strategies
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.headers: dict[str, int] = {}
        self.services: list[str] = []
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
        """Whether file or environment give a usable value."""
        return option in self._values.get(section, ())

    def sound(self, section: str, *options: str) -> bool:
        """Whether none of these options was given an unusable value."""
        return self._broken.isdisjoint((section, option) for option in options)

    def value(self, section: str, option: str) -> Any:
        """The given value, or the default."""
        if self.given(section, option):
            return self._values[section][option]
        kind = kind_of(section)
        assert kind is not None
        return kind.default(kind.options[option])

    def origin(self, section: str, option: str) -> Origin:
        return self._origins.get((section, option), Origin())

    def values_of(self, section: str) -> dict[str, Any]:
        return dict(self._values.get(section, {}))

    def complain(self, section: str, option: str, message: str, hint: str = "") -> None:
        """A problem with a value that was accepted on its own, where that value came from."""
        origin = self.origin(section, option)
        if origin.variable:
            self.variable_problem(origin.variable, message, hint)
        else:
            self.file_problem(origin.line or self.headers.get(section, 0), section, option, message, hint)

    def file_problem(self, line: int, section: str, option: str, message: str, hint: str = "") -> None:
        section = quoted(section)[1:-1] if section else ""
        self.problems.append(Problem(self.source, line, section, option, printable(message), printable(hint)))

    def variable_problem(self, variable: str, message: str, hint: str = "") -> None:
        self.problems.append(Problem("environment", 0, "", variable, printable(message), printable(hint)))
