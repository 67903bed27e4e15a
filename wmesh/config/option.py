"""One option, as a record: what the tables of `wmesh.config.schema` are made of."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from wmesh.config.kinds import Kind

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `field` is the path of the record's field it fills ("check.interval"); empty: the option's name.

    `default` is what the manual prints where the field's default is not the whole truth. `inert` says what this version
    does not do although the option is accepted; it becomes a note of the configuration and of the manual.

    `on_route`: an option of a service that may stand in `[route:NAME]`, too, and then holds for that route's requests.
    The plan of a route is made from the service with these laid over it, so a plan is where such an option has to be
    read. `shared` says, of one that people may look for there, why a route cannot have it.
    """

    name: str
    kind: Kind
    text: str
    example: str
    field: str = ""
    default: str = ""
    notes: tuple[str, ...] = ()
    inert: str = ""
    on_route: bool = False
    shared: str = ""

    @property
    def path(self) -> str:
        return self.field or self.name

    def of(self, record: object) -> Any:
        """Its value in a record of its section."""
        return operator.attrgetter(self.path)(record)
