"""The configuration manual, printed from the schema: `python -m wmesh.config.manual > docs/configuration.rst`.

Strategy: every entry has one fixed form (syntax, default, unit, what it does, notes, example), so that a reader finds
the same thing at the same place each time. Only the chapters about the file as such are text of this file; everything
about an option, a variable or a strategy comes from the tables that the parser uses, and a test holds the checked-in
manual equal to this output. How to run a mesh does not belong here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from wmesh.balance import STRATEGIES
from wmesh.config.environment import REDIS_VARIABLES, VARIABLES
from wmesh.config.option import Option
from wmesh.config.schema import SECTIONS, SectionKind

WIDTH = 118

_INTRODUCTION = """\
====================
Configuration manual
====================

.. This file is printed by "python -m wmesh.config.manual" from the tables in wmesh/config. Edit those.

This manual lists every option of the configuration file and every environment variable. It does not teach how to
build a mesh: ``etc/mesh.ini`` is a commented example that runs.

Check a file without starting anything::

    wmesh check etc/mesh.ini

All problems are printed at once, each with its line and with what would be right. The gateway refuses a file that has
any. Notes are no problems: they tell of what is legal, but may surprise.

.. contents::
   :local:
   :depth: 2


The file
========

The file is UTF-8 text. ``[name]`` begins a section, ``name = value`` sets an option in it. Lines that begin with ``#``
or ``;`` are comments; a comment needs a line of its own. A line that is indented further than the option above it
continues the value of that option. Values are written without quotes, and nothing in them is replaced, except the
placeholders of ``command``. A section or an option that appears twice is a problem, and so is a name that is not in
this manual.

The smallest useful file is a static mesh::

    [gateway]
    listen = tcp:8000

    [registry]
    url = memory:

    [service:shop]
    instances = 10.0.0.5:3000, 10.0.0.6:3000
    routes = /
    strip_prefix = no

Kinds of values
---------------

DURATION
    A number and one of ``ms``, ``s``, ``m``, ``h``, ``d``: ``250ms``, ``15s``, ``1.5m``. A number alone counts
    seconds.
SIZE
    A number and one of ``B``, ``KiB``, ``MiB``, ``GiB`` (``K``, ``M``, ``G`` are the same; ``KB``, ``MB``, ``GB`` count
    in 1000). A number alone counts bytes.
yes | no
    Also ``true`` and ``false``, ``on`` and ``off``, ``1`` and ``0``.
lists
    Entries separated by commas or by lines. Endpoints are one a line, since they may contain commas.
"""

_ENVIRONMENT = """\
Environment variables
=====================

These override the file. A variable that is empty counts as not set. A bad value is a problem, like one in the file.
Without a registry in the file that is ``redis://`` or ``rediss://`` (with or without Sentinels), the other REDIS
variables count only beside REDIS_HOST or REDIS_SENTINELS.
"""

_STRATEGIES = """\
Strategies
==========

The names that ``load_balancing_strategy`` knows; :doc:`strategies` says which is for what. Installed packages may bring
others.
"""


def render() -> str:
    """The whole manual as reStructuredText."""
    parts = [_INTRODUCTION]
    for kind in SECTIONS.values():
        parts.append("\n".join(_section(kind)))
    parts.append("\n".join(_environment()))
    parts.append("\n".join(_strategies()))
    return "\n".join(parts)


def _wrap(text: str, indent: str = "", first: str | None = None) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _section(kind: SectionKind) -> Iterator[str]:
    yield ""
    yield kind.header
    yield "=" * len(kind.header)
    yield ""
    yield _wrap(kind.text)
    if kind.inherited:
        refs = [f":ref:`{name} <service-{name.replace('_', '-')}>`" for name in kind.inherited]
        yield ""
        yield _wrap(f"Besides its own options it may have these of ``[service:NAME]``: {', '.join(refs)}.")
    for option in kind.options.values():
        yield ""
        yield from _entry(kind, option)
    yield ""


def _entry(kind: SectionKind, option: Option) -> Iterator[str]:
    """One option, in the form that all of them have."""
    yield f".. _{kind.name}-{option.name.replace('_', '-')}:"
    yield ""
    yield option.name
    yield "-" * len(option.name)
    yield ""
    yield _wrap(f":Syntax: ``{option.name} = {option.kind.syntax}``", "    ", "")
    yield _wrap(f":Default: {_default(kind, option)}", "    ", "")
    if option.kind.unit:
        yield f":Unit: {option.kind.unit}"
    if option.on_route:
        yield ":Also in: ``[route:NAME]``, for its requests"
    yield ""
    yield _wrap(option.text)
    notes = [*option.notes, *([f"Not in this version: {option.inert}."] if option.inert else [])]
    if notes:
        yield ""
    for note in notes:
        yield _wrap(note, "  ", "- ")
    yield ""
    yield "Example::"
    yield ""
    yield textwrap.indent(option.example, "    ")


def _default(kind: SectionKind, option: Option) -> str:
    if option.default:
        return option.default
    shown = kind.shown_default(option)
    return f"``{shown}``" if shown else "empty"


def _environment() -> Iterator[str]:
    yield ""
    yield _ENVIRONMENT
    for variable in VARIABLES:
        syntax = SECTIONS[variable.section].options[variable.option].kind.syntax
        # A term must stay on one line.
        yield f"``{variable.name}`` = {syntax if len(syntax) < 80 else f'as {variable.option}'}"
        yield _wrap(variable.text, "    ")
    for name, (kind, text) in REDIS_VARIABLES.items():
        yield f"``{name}`` = {kind.syntax}"
        yield _wrap(text, "    ")
    yield ""


def _strategies() -> Iterator[str]:
    yield ""
    yield _STRATEGIES
    yield from (f"- ``{name}``" for name in STRATEGIES)
    yield ""


if __name__ == "__main__":
    print(render(), end="")
