"""The kinds of values an option may have: how each is read, shown, and described in the manual.

Strategy: a `Kind` is a pair of functions and a few words about them; factories below make one from bounds or choices,
so that the bounds stand once, in the schema, and reach parser, message and manual from there. Values that are places
in a network (addresses, routes, listeners, registry) have a file of their own: `wmesh.config.places`.
"""

from __future__ import annotations

import re
import shlex
import string
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wmesh.config import units
from wmesh.config.wording import Invalid, common_hint, did_you_mean, listed, quoted

FIELD_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}"
OURS = ("connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade")
"""Header fields of a check that the gateway writes itself, because they say how the message is to be read."""

PLACEHOLDERS = ("host", "id", "name", "port", "python")


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one kind are read (`read` raises `Invalid`), shown as they would be written, and described.

    `many`: the value may span lines. `empty`: what an empty value means (no entries, switched off); None: refused.
    """

    syntax: str
    read: Callable[[str], Any]
    show: Callable[[Any], str] = str
    unit: str = ""
    many: bool = False
    empty: object = None


def items(text: str) -> Iterator[tuple[int, str]]:
    """The entries of a list separated by commas or lines, each with its row."""
    for row, line in enumerate(text.split("\n")):
        for item in line.split(","):
            if item := item.strip():
                yield row, item


def each(
    parts: Iterable[tuple[int, str]], read: Callable[[str], Any], key: Callable[[Any], Any] = lambda value: value
) -> tuple[Any, ...]:
    """All entries of a list, read one by one. A bad entry is told with all other bad ones; a repeated one is bad.

    `parts` are entries with their rows (see `items`); entries of the same `key` are repeated ones.
    """
    found: dict[Any, Any] = {}
    errors: list[Invalid] = []
    for row, item in parts:
        try:
            value = read(item)
            if key(value) in found:
                raise Invalid(f"{quoted(item)} is listed twice", "keep one of the two")
            found[key(value)] = value
        except Invalid as error:
            error.row = row
            errors.append(error)
    if errors:
        errors[0].others = tuple(errors[1:])
        raise errors[0]
    return tuple(found.values())


def show_all(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def switch() -> Kind:
    """yes or no."""
    words = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}

    def read(text: str) -> bool:
        try:
            return words[text.lower()]
        except KeyError:
            raise Invalid(f"{quoted(text)} is neither yes nor no", common_hint(text) or "write yes or no") from None

    return Kind("yes | no", read, lambda value: "yes" if value else "no")


def whole(low: int, high: int, unit: str = "", zero: str = "") -> Kind:
    """A whole number within bounds, both included. `zero` says what 0 means, where it is special."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise Invalid(
                f"{quoted(text)} is not a whole number", common_hint(text) or f"write a number from {low} to {high}"
            )
        if not low <= (number := int(text)) <= high:
            raise Invalid(f"{number} is out of range", f"write a number from {low} to {high}")
        return number

    return Kind(f"NUMBER ({low} to {high}{f'; 0: {zero}' if zero else ''})", read, str, unit)


def percent(high: int) -> Kind:
    """A share, with or without the sign, above 0."""

    def read(text: str) -> float:
        if not (match := re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?%?", text)):
            raise Invalid(f"{quoted(text)} is not a percentage", common_hint(text) or f"write a number up to {high}")
        if not 0 < (number := float(match[1])) <= high:
            raise Invalid(f"{text} is out of range", f"write a number above 0, up to {high}")
        return number

    return Kind(f"NUMBER (above 0, up to {high})", read, "{:g}".format, "percent")


def factor(high: int) -> Kind:
    """Whole percent, of what would be even: above 100, or 0 for no bound."""
    hint = f"write a number from 101 to {high}, or 0 for no bound"

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18} ?%?", text):
            raise Invalid(f"{quoted(text)} is not a whole percentage", common_hint(text) or hint)
        number = int(text.rstrip("% "))
        if number and not 100 < number <= high:
            raise Invalid(f"{quoted(text)} is out of range", hint)
        return number

    return Kind(f"NUMBER (101 to {high}; 0: no bound)", read, str, "percent")


def duration(low: float, high: float) -> Kind:
    """Seconds within bounds, both included."""
    bounds = f"{units.show_duration(low)} to {units.show_duration(high)}"

    def read(text: str) -> float:
        seconds = units.duration(text)
        if not low <= seconds <= high:
            hint = f"write a duration from {bounds}"
            if seconds > high and units.is_bare(text) and low <= seconds / 1000 <= high:
                hint += f"; a bare number counts seconds: did you mean {text}ms?"
            raise Invalid(f"{quoted(text)} is too {'short' if seconds < low else 'long'}", hint)
        return seconds

    return Kind(f"DURATION ({bounds})", read, units.show_duration, "seconds, unless a unit is given")


def size(low: int, high: int) -> Kind:
    """Bytes within bounds, both included."""
    bounds = f"{units.show_size(low)} to {units.show_size(high)}"

    def read(text: str) -> int:
        count = units.size(text)
        if not low <= count <= high:
            raise Invalid(f"{quoted(text)} is too {'small' if count < low else 'large'}", f"write a size from {bounds}")
        return count

    return Kind(f"SIZE ({bounds})", read, units.show_size, "bytes, unless a unit is given")


def choice(names: Collection[str], what: str, aliases: dict[str, str] | None = None) -> Kind:
    """One of a few names; case does not matter."""

    def read(text: str) -> str:
        name = text.lower()
        name = (aliases or {}).get(name, name)
        if name not in names:
            hint = " ".join(filter(None, [did_you_mean(text, names), f"known: {', '.join(names)}"]))
            raise Invalid(f"{quoted(text)} is not a known {what}", common_hint(text) or hint)
        return name

    return Kind(" | ".join(names), read)


def each_of(names: Collection[str], what: str) -> Kind:
    """A list of such names."""
    one = choice(names, what)
    return Kind(", ".join(names), lambda text: each(items(text), one.read), show_all, many=True)


def word(syntax: str, pattern: str, hint: str) -> Kind:
    """One word of a fixed form."""
    compiled = re.compile(pattern)
    what = syntax.partition(",")[0].lower()

    def read(text: str) -> str:
        if not compiled.fullmatch(text):
            raise Invalid(f"{quoted(text)} is not a good {what}", common_hint(text) or hint)
        return text

    return Kind(syntax, read)


def words(syntax: str, pattern: str, hint: str) -> Kind:
    """A list of such words."""
    one = word(syntax, pattern, hint)
    return Kind(syntax, lambda text: each(items(text), one.read), show_all, many=True, empty=())


def field_name() -> Kind:
    """The name of an HTTP header field (RFC 9110 section 5.1), or nothing."""

    def read(text: str) -> str:
        if not re.fullmatch(FIELD_NAME, text):
            raise Invalid(f"{quoted(text)} is not the name of a header", "write a name without a colon")
        return text

    return Kind("HEADER", read, empty="")


def _field(line: str) -> tuple[str, str]:
    # A value may be a secret: no message repeats it.
    name, colon, value = line.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not re.fullmatch(FIELD_NAME, name):
        raise Invalid("this is not a header", "write Name: value, one a line")
    if name.lower() == "host":
        raise Invalid("Host is not written here", "write health_check_host = NAME")
    if name.lower() in OURS or (name.lower().startswith("sec-websocket-") and not name.lower().endswith("-protocol")):
        raise Invalid(f"the gateway writes {name} itself", "take it out")
    if not value or not re.fullmatch(r"[!-~](?:[ -~]{0,4094}[!-~])?", value):
        raise Invalid(f"the value of {name} is not good", "write printable ASCII, at most 4096 characters")
    return name, value


def fields() -> Kind:
    """HTTP header fields, one a line."""

    def read(text: str) -> tuple[tuple[str, str], ...]:
        found: dict[str, tuple[str, str]] = {}
        for row, line in enumerate(text.split("\n")):
            if not line.strip():
                continue
            try:
                name, value = _field(line)
                if name.lower() in found:
                    raise Invalid(f"{name} stands here twice", "keep one of the two")
            except Invalid as error:
                error.row = row
                raise
            found[name.lower()] = name, value
        return tuple(found.values())

    def show(pairs: tuple[tuple[str, str], ...]) -> str:
        return "\n".join(f"{name}: {value}" for name, value in pairs)

    return Kind("NAME: VALUE, one a line", read, show, many=True, empty=())


def text(longest: int) -> Kind:
    """Any one line."""

    def read(text: str) -> str:
        if len(text.encode()) > longest:
            raise Invalid(f"the text has {len(text.encode())} bytes", f"use at most {longest}")
        return text

    return Kind("TEXT", read, empty="")


def file() -> Kind:
    """A file, relative to the working directory of the gateway."""

    def read(text: str) -> str:
        if hint := common_hint(text):
            raise Invalid(f"{quoted(text)} is not the name of a file", hint)
        return text

    return Kind("FILE", read, empty="")


def path() -> Kind:
    """A path of the file system, relative to the working directory of the gateway."""

    def read(text: str) -> str:
        if hint := common_hint(text):
            raise Invalid(f"{quoted(text)} is not a path", hint)
        # A Unix socket goes below it, and the path of one ends at 108 bytes.
        if len(text.encode()) > 80:
            raise Invalid(
                f"the path has {len(text.encode())} bytes", "use at most 80: sockets go below it, and they allow few"
            )
        return text

    return Kind("PATH", read)


def expression() -> Kind:
    """A regular expression."""

    def read(text: str) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise Invalid(
                f"{quoted(text)} is not a regular expression: {str(error) or 'too deep'}", "the syntax is Python's"
            ) from None
        return text

    return Kind("REGULAR-EXPRESSION", read, empty="")


def _status_range(item: str) -> tuple[int, int]:
    if match := re.fullmatch(r"([2-5])xx", item):
        low, high = int(match[1]) * 100, int(match[1]) * 100 + 99
    elif match := re.fullmatch(r"([0-9]{3})(?: ?- ?([0-9]{3}))?", item):
        low, high = int(match[1]), int(match[2] or match[1])
    else:
        raise Invalid(f"{quoted(item)} is not a status", common_hint(item) or "write 200, 204 or a range like 300-399")
    if not 200 <= low <= high <= 599:
        raise Invalid(f"{quoted(item)} is out of range", "write statuses from 200 to 599, the lower one first")
    return low, high


def statuses() -> Kind:
    """HTTP statuses and ranges of them, as inclusive pairs."""

    def show(ranges: tuple[tuple[int, int], ...]) -> str:
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)

    def read(text: str) -> tuple[tuple[int, int], ...]:
        if not (found := each(items(text), _status_range)):
            raise Invalid(f"{quoted(text)} names no status", "write 200, 204 or a range like 300-399")
        return found

    return Kind("STATUS[-STATUS], …", read, show, many=True)


def _check_placeholders(argument: str) -> None:
    known = listed("{" + name + "}" for name in PLACEHOLDERS)
    try:
        pieces = list(string.Formatter().parse(argument))
    except ValueError:
        raise Invalid(
            f"{quoted(argument)} has a brace without its partner", f"write {known}, or {{{{ and }}}} for real braces"
        ) from None
    for _, name, form, conversion in pieces:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            hint = " ".join(filter(None, [did_you_mean(name, PLACEHOLDERS), f"known: {known}"]))
            raise Invalid(f"{quoted('{' + name + '}')} is not a placeholder", hint)


def _closed(text: str) -> bool:
    """Whether what follows this text stands outside of any quotes."""
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def command() -> Kind:
    """A command line, split as a shell does; no shell ever sees it."""

    def read(text: str) -> tuple[str, ...]:
        text = text.replace("\n", " ")
        try:
            arguments = shlex.split(text)
        except ValueError as error:
            raise Invalid(f"the command cannot be split: {str(error).lower()}", "close every quote") from None
        if any(_closed(text[: mark.start()]) for mark in re.finditer(r"(?:^|\s)#", text)):
            raise Invalid("the command has a comment behind it", "a comment needs a line of its own; or quote the #")
        for argument in arguments:
            _check_placeholders(argument)
        return tuple(arguments)

    return Kind("PROGRAM [ARGUMENT …]", read, shlex.join, many=True, empty=())
