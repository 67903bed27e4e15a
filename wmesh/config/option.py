"""One option, as a record: what the tables of `wmesh.config.schema` are made of."""

from __future__ import annotations

from dataclasses import dataclass

from wmesh.config.kinds import Kind

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `field` is the path of the record's field it fills ("check.interval"); empty: the option's name.

    `default` is what the manual prints where the field's default is not the whole truth. `inert` says what this version
    does not do although the option is accepted; it becomes a note of the configuration and of the manual.
    """

    name: str
    kind: Kind
    text: str
    example: str
    field: str = ""
    default: str = ""
    notes: tuple[str, ...] = ()
    inert: str = ""

    @property
    def path(self) -> str:
        return self.field or self.name
