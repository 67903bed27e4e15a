"""The words that `grocery_nlp` knows: numbers, units, and what people say around them. Tables only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

Meaning = TypeVar("Meaning")


def _table(meanings: Mapping[Meaning, str]) -> dict[str, Meaning]:
    """From a meaning with all its words to each word with its meaning."""
    return {word: meaning for meaning, words in meanings.items() for word in words.split()}


WORD = re.compile(
    r"\d+%|\d+-(?:packs?|counts?)\b"  # the 2% of milk and the 12-pack of soda are parts of names
    r"|\d+-\d+|\d+/\d+|\d+(?:\.\d+)?|[½¼¾⅓⅔]"
    r"|x(?=\d)|[^\W\d_][\w'-]*"
    r"|[,;\n&+×]|[.!?:](?=\s|$)"
)
BREAKS = frozenset({",", ";", "\n", ".", "!", "?", ":", "&", "+", "and", "plus", "also", "then"})

NUMBERS = _table(
    {
        0.0: "zero",
        1.0: "one",
        2.0: "two couple pair",
        3.0: "three",
        4.0: "four",
        5.0: "five",
        6.0: "six",
        7.0: "seven",
        8.0: "eight",
        9.0: "nine",
        10.0: "ten",
        11.0: "eleven",
        12.0: "twelve",
        15.0: "fifteen",
        16.0: "sixteen",
        18.0: "eighteen",
        20.0: "twenty",
        30.0: "thirty",
        40.0: "forty",
        50.0: "fifty",
    }
)
FRACTIONS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3}
PARTS = {"half": 0.5, "quarter": 0.25, "quarters": 0.25}
ARTICLES = ("a", "an")
DOZEN = ("dozen", "dozens", "doz")
TIMES = ("x", "×")
VAGUE = ("some", "few", "several", "more", "any")
UNITS = _table(
    {
        "lb": "lb lbs pound pounds",
        "oz": "oz ounce ounces",
        "g": "g gram grams",
        "kg": "kg kilo kilos kilogram kilograms",
        "ml": "ml milliliter milliliters",
        "l": "l liter liters litre litres",
        "gal": "gal gallon gallons",
        "qt": "qt quart quarts",
        "pt": "pt pint pints",
        "cup": "cup cups",
        "bag": "bag bags",
        "bottle": "bottle bottles",
        "box": "box boxes",
        "bunch": "bunch bunches",
        "can": "can cans tin tins",
        "carton": "carton cartons",
        "head": "head heads",
        "jar": "jar jars",
        "loaf": "loaf loaves",
        "pack": "pack packs package packages pkg packet packets",
        "stick": "stick sticks",
        "tub": "tub tubs",
    }
)

# Names with an "and" inside, as the words on both sides of it.
WHOLE = frozenset(
    {
        ("mac", "cheese"),
        ("macaroni", "cheese"),
        ("half", "half"),
        ("salt", "pepper"),
        ("pork", "beans"),
        ("sweet", "sour"),
    }
)
POLITE = re.compile(
    "hi|hello|hey|please|i|we|i'd|we'd|i'll|we'll|let's|would|like|want|need|to|get|buy|order|add|me|us|you|give|grab"
    "|pick|up|just|have|the|my|our|your|of|that"
)
THANKS = frozenset({"please", "thanks", "thank", "you"})
ASKING = frozenset({"can", "could", "may"})
REFUSING = frozenset({"no", "not", "don't", "without", "never", "except"})
