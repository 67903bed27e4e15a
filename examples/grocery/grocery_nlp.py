"""From "2 lbs of chicken breast, a dozen eggs and milk" to items with a quantity, a unit and a name.

No model and no training: a list of rules that fits on a page. The text is cut into words, the words into clauses at
commas and "and", and each clause is read from the left: a polite beginning that means nothing, a number, a unit, and
what is left is the name. The rules claim no more than they know: an item whose quantity nobody stated says so
(`stated` is false), and a clause that they cannot read goes to `unparsed` as it was written.

Pure: text in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grocery_words import (
    ARTICLES,
    ASKING,
    BREAKS,
    DOZEN,
    FRACTIONS,
    NUMBERS,
    PARTS,
    POLITE,
    REFUSING,
    THANKS,
    TIMES,
    UNITS,
    VAGUE,
    WHOLE,
    WORD,
)

MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Item:
    """`unit` is a short name from `grocery_words.UNITS`, or "each"; `stated` is whether the text gave the quantity."""

    quantity: float
    unit: str
    name: str
    stated: bool = True

    def document(self) -> dict[str, object]:
        quantity = int(self.quantity) if self.quantity == int(self.quantity) else round(self.quantity, 3)
        return {"quantity": quantity, "unit": self.unit, "name": self.name, "stated": self.stated}


@dataclass(frozen=True, slots=True)
class Parsed:
    items: tuple[Item, ...]
    unparsed: tuple[str, ...]


def parse(text: str) -> Parsed:
    """Everything in the text that reads as a grocery item, in its order, and the rest."""
    items = []
    unparsed = []
    for clause in _clauses(_words(text)):
        words = _without_courtesy(clause)
        if not words:
            continue
        item = None if words[0] in REFUSING else _item(words)
        if item is None:
            unparsed.append(" ".join(clause))
        else:
            items.append(item)
    return Parsed(tuple(items), tuple(unparsed))


def _words(text: str) -> list[str]:
    words = []
    for word in WORD.findall(text.lower().replace("’", "'")):
        first, dash, rest = word.partition("-")
        if dash and (first in NUMBERS or first in PARTS):  # twenty-four, half-gallon
            words += [first, *rest.split("-")]
        else:
            words.append(word.rstrip("-'"))
    return words


def _clauses(words: Sequence[str]) -> list[list[str]]:
    clauses: list[list[str]] = [[]]
    for index, word in enumerate(words):
        if word not in BREAKS:
            clauses[-1].append(word)
            continue
        before = words[index - 1] if index else ""
        after = words[index + 1 : index + 3]
        if word == "." and before in UNITS:  # the dot of "lbs."
            continue
        if word == "and" and _joins(before, after):
            clauses[-1].append(word)
        else:
            clauses.append([])
    return [clause for clause in clauses if clause]


def _joins(before: str, after: Sequence[str]) -> bool:
    """Whether this "and" is inside an item: "mac and cheese", "two and a half pounds", "a pound and a half"."""
    if not after:
        return False
    if (before, after[0]) in WHOLE:
        return True
    part = after[1] if after[0] in ARTICLES and len(after) > 1 else after[0]
    counted = before in NUMBERS or before in UNITS or before in DOZEN or _digits(before) is not None
    return counted and part in PARTS


def _without_courtesy(clause: Sequence[str]) -> list[str]:
    words = list(clause)
    while words and (
        POLITE.fullmatch(words[0]) or (words[0] in ASKING and words[1:2] and words[1] in ("i", "we", "you"))
    ):
        words.pop(0)
    while words and words[-1] in THANKS:
        words.pop()
    if len(words) > 3 and words[-3] in ("to", "in", "on") and words[-1] in ("cart", "list", "basket"):
        del words[-3:]
    return words


class _Cursor:
    """Reads words from the left."""

    def __init__(self, words: Sequence[str]) -> None:
        self.rest = list(words)

    def sees(self, *choices: str) -> bool:
        return bool(self.rest) and self.rest[0] in choices

    def take(self, *choices: str) -> str | None:
        """The next word if it is one of these."""
        return self.rest.pop(0) if self.sees(*choices) else None

    def begins(self, *words: str) -> bool:
        return tuple(self.rest[: len(words)]) == words


def _item(words: list[str]) -> Item | None:
    cursor = _Cursor(words)
    if len(words) > 2 and words[-2] in TIMES and words[-1].isdecimal():  # milk x2
        quantity = _digits(words[-1])
        del cursor.rest[-2:]
    else:
        quantity = _quantity(cursor)
        if quantity is not None:
            cursor.take(*TIMES, "of")
    stated = quantity is not None
    unit = _unit(cursor) if stated or cursor.rest[1:2] == ["of"] else "each"
    amount = (1.0 if quantity is None else quantity) + _and_part(cursor)
    while cursor.take("of", *VAGUE):
        pass
    name = " ".join(cursor.rest)
    if not amount or not any(letter.isalpha() for letter in name):
        return None
    return Item(amount, unit, name, stated)


def _quantity(cursor: _Cursor) -> float | None:
    number = _number(cursor)
    each = 12 if cursor.take(*DOZEN) else 1
    if number is None:
        return None if each == 1 else 12.0
    return (number + _and_part(cursor)) * each


def _number(cursor: _Cursor) -> float | None:
    if cursor.begins("half", "and", "half"):
        return None
    article = cursor.take(*ARTICLES)
    if article and cursor.sees(*VAGUE):
        return None
    if part := cursor.take(*PARTS):
        cursor.take("of")
        cursor.take(*ARTICLES)
        return PARTS[part]
    number = 1.0 if article else None
    if word := cursor.take(*NUMBERS):
        number = NUMBERS[word]
        if number >= 20 and cursor.rest and 0 < NUMBERS.get(cursor.rest[0], 0) < 10:  # twenty four
            number += NUMBERS[cursor.rest.pop(0)]
    elif cursor.rest and (digits := _digits(cursor.rest[0])) is not None:
        number = digits
        cursor.rest.pop(0)
        if cursor.rest and ("/" in cursor.rest[0] or cursor.rest[0] in FRACTIONS):  # 1 1/2
            number += _digits(cursor.rest.pop(0)) or 0.0
    if number is not None and cursor.take("quarters"):
        number *= 0.25
        cursor.take("of")
        cursor.take(*ARTICLES)
    return number


def _and_part(cursor: _Cursor) -> float:
    """The half of "two and a half pounds" and of "a pound and a half of beef"."""
    for part, value in PARTS.items():
        for words in (("and", "a", part), ("and", part)):
            if cursor.begins(*words):
                del cursor.rest[: len(words)]
                return value
    return 0.0


def _unit(cursor: _Cursor) -> str:
    for fluid in ("fl", "fluid"):
        for ounces in ("oz", "ounce", "ounces"):
            if cursor.begins(fluid, ounces):
                del cursor.rest[:2]
                return "fl oz"
    word = cursor.take(*UNITS)
    return UNITS[word] if word else "each"


def _digits(word: str) -> float | None:
    """The value of 2, 2.5, 1/2, ½ or 2-3 (of which the larger); 0, which reads as nothing, of what is absurd."""
    if len(word) > MAX_DIGITS:
        return 0.0 if word[0].isdecimal() else None
    if word in FRACTIONS:
        return FRACTIONS[word]
    above, slash, below = word.partition("/")
    if slash and above.isdecimal() and below.isdecimal():
        return int(above) / int(below) if int(below) else 0.0
    low, dash, high = word.partition("-")
    if dash and low.isdecimal() and high.isdecimal():
        return float(max(int(low), int(high)))
    return float(word) if word[:1].isdecimal() and word[-1:].isdecimal() else None


def _stems(name: str) -> frozenset[str]:
    return frozenset(word[:-1] if word.endswith("s") and len(word) > 3 else word for word in name.lower().split())


def match(name: str, shelf: Mapping[str, str]) -> str | None:
    """The key of the one thing on the shelf whose name has all the words of this one; None if none or several do."""
    wanted = _stems(name)
    found = [key for key, offered in shelf.items() if wanted and wanted <= _stems(offered)]
    return found[0] if len(found) == 1 else None
