"""How the configuration speaks: what a bad value raises, how a value is quoted, and which known name was meant.

Strategy: a message is read by somebody in a hurry, on a terminal or in a journal. So it names what is wrong and what
would be right, stays on one line, and never repeats a secret: everything quoted from a file goes through `quoted`,
which takes out passwords of URLs and unprintable characters. Where a problem stands is not known here;
`wmesh.config.draft` adds that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST_QUOTE = 60

_comment = re.compile(r"(^|\s)[#;]")
_enough = 0.75
_enough_of_a_part = 0.8


class Invalid(Exception):
    """A value that cannot be used. `row` counts the lines of the value from 0, for values of several lines.

    A list has as many reasons as it has bad entries: `others` are those after the first.
    """

    def __init__(self, message: str, hint: str = "", row: int = 0) -> None:
        self.message = message
        self.hint = hint
        self.row = row
        self.others: tuple[Invalid, ...] = ()
        super().__init__(message)


def quoted(text: str) -> str:
    """The text as one printable line in quotes, cut where it is long, and without the credentials of any URL in it."""
    colon, at = text.find(":"), text.rfind("@")
    if 0 <= colon < at:
        text = f"{text[: colon + 1]}***{text[at:]}"
    if len(text) > LONGEST_QUOTE:
        text = text[: LONGEST_QUOTE - 1] + "…"
    mark = "'" if '"' in text else '"'
    return mark + printable(text) + mark


def printable(text: str) -> str:
    """The text with escapes for what a terminal should not be given."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def common_hint(text: str) -> str:
    """What people who come from other file formats trip over: quotes round a value, and a comment behind it."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return "values are written without quotes"
    if _comment.search(text):
        return "a comment needs a line of its own"
    return ""


def listed(names: Iterable[str]) -> str:
    """ "a, b or c"."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, or None where nothing is alike.

    Names are long compounds (`load_balancing_strategy`) and people remember their ends, so a word is compared with each
    name as a whole and with what follows each of its underscores (or dashes); a likeness of wholes wins a tie.
    """
    word = word.lower().replace("-", "_")[:100]
    best: tuple[float, str] | None = None
    for name in known:
        parts = name.lower().replace("-", "_").split("_")
        score = _likeness(word, "_".join(parts))
        found = score if score >= _enough else 0.0
        for start in range(len(parts)):
            tails = [parts[start], "_".join(parts[start:])]
            part = max(_likeness(word, tail) for tail in tails if len(tail) > 2) if len(parts[start]) > 2 else 0.0
            if part >= _enough_of_a_part:
                found = max(found, part - 0.05)
        if found and (best is None or found > best[0]):
            best = (found, name)
    return best[1] if best else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that ends a message, or nothing."""
    name = nearest(word, known)
    return f"did you mean {name}?" if name else ""


def _likeness(one: str, other: str) -> float:
    if len(one) > 2 and sorted(one) == sorted(other):
        # Two letters swapped: in a short word, too much of a difference for the ratio below.
        return 1.0 if one == other else 0.95
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
