"""The shape of the file: sections, options, values of one or several lines, and the line number of each.

```
[section]
name = value
list = first
       second      (further in than its option: the value goes on)
# a comment, on a line of its own, at any depth
```
Strategy: one pass, line by line, that never stops at a problem; what a line means is decided by its first character and
its indentation alone. The standard library's reader is not used because it forgets line numbers, folds case, and fills
in `%` placeholders of its own. What sections and options mean does not belong here: see `wmesh.config.schema`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wmesh.config.wording import printable, quoted
from wmesh.errors import Problem

_name = re.compile(r"[A-Za-z0-9_.\-]{1,100}")
_yaml_option = re.compile(r"([a-z_]{2,40})\s*:(?!//)")
# What a terminal or an editor might hide or act on. Tab is allowed.
_control = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(slots=True)
class Entry:
    """One option as written. `rows` are the lines of its value with their numbers; `text` joins them by newlines."""

    name: str
    line: int
    indent: int
    rows: list[tuple[int, str]]

    @property
    def text(self) -> str:
        return "\n".join(row for _, row in self.rows)

    def line_of(self, row: int) -> int:
        """The line number of a row of `text`."""
        return self.rows[row][0] if row < len(self.rows) else self.line


@dataclass(slots=True)
class Section:
    """One `[name]` with its options, in the order of the file."""

    name: str
    line: int
    entries: list[Entry] = field(default_factory=list)


def read(text: str, source: str) -> tuple[list[Section], list[Problem]]:
    """Sections in the order of the file, and every line that fits nowhere. A repeated section is returned twice."""
    reader = _Reader(source)
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        reader.line(number, line)
    return reader.sections, reader.problems


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.sections: list[Section] = []
        self.problems: list[Problem] = []
        self._seen_sections: dict[str, int] = {}
        self._seen_options: dict[tuple[str, str], int] = {}
        self._section: Section | None = None
        self._entry: Entry | None = None
        # After a line that was refused, lines further in belong to it, and after a header that was refused all options
        # up to the next header do: refusing them as well would say nothing new.
        self._refused_indent: int | None = None
        self._lost = False

    def line(self, number: int, line: str) -> None:
        content = line.strip()
        if not content or content[0] in "#;":
            return
        if (found := _control.search(content)) is not None:
            self.refuse(number, line, f"the control character {quoted(found[0])[1:-1]} does not belong in this file")
            return
        indent = _indent(line)
        if self._refused_indent is not None and indent > self._refused_indent:
            return
        if self._entry is not None and indent > self._entry.indent:
            self._entry.rows.append((number, content))
        elif content[0] == "[":
            self.header(number, line, content)
        else:
            self.option(number, line, content, indent)

    def header(self, number: int, line: str, content: str) -> None:
        if content[-1] != "]" or not content[1:-1].strip():
            self._section = None
            self.refuse(number, line, "this is not a section header", "write [name] and nothing else on the line")
            self._lost = True
            return
        # "[service: x]" reads well and can mean only one thing.
        name = ":".join(part.strip() for part in content[1:-1].split(":"))
        if (first := self._seen_sections.setdefault(name, number)) != number:
            self.problem(
                number, name, "", f"this section is already at line {first}", "put all its options under one header"
            )
        self._entry = None
        self._refused_indent = None
        self._lost = False
        self._section = Section(name, number)
        self.sections.append(self._section)

    def option(self, number: int, line: str, content: str, indent: int) -> None:
        name, equals, value = content.partition("=")
        name = name.rstrip()
        if not equals or not _name.fullmatch(name):
            # The line is not quoted: it may hold a password that stands where it should not.
            yaml = _yaml_option.match(content)
            hint = f"write {yaml[1] if yaml else 'name'} = value; a value that goes on must be indented further"
            self.refuse(number, line, "this is neither a [section] nor an option", hint)
            return
        if self._lost:
            return
        if self._section is None:
            self.refuse(number, line, f"the option {name} stands before any [section]", "begin with [mesh]")
            self._lost = True
            return
        section = self._section
        self._refused_indent = None
        self._entry = Entry(name, number, indent, [(number, value.strip())])
        if (first := self._seen_options.setdefault((section.name, name), number)) != number:
            self.problem(number, section.name, name, f"this option is already at line {first}", "keep one of the two")
            return
        section.entries.append(self._entry)

    def refuse(self, number: int, line: str, message: str, hint: str = "") -> None:
        self.problem(number, self._section.name if self._section else "", "", message, hint)
        self._entry = None
        self._refused_indent = _indent(line)

    def problem(self, number: int, section: str, option: str, message: str, hint: str = "") -> None:
        name = quoted(section)[1:-1] if section else ""
        self.problems.append(Problem(self.source, number, name, option, printable(message), printable(hint)))


def _indent(line: str) -> int:
    line = line.expandtabs()
    return len(line) - len(line.lstrip())
