"""What people write, and what the rules make of it."""

from grocery_nlp import Item, match, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

WORDS = (
    "a",
    "half",
    "and",
    "2",
    "lb",
    "dozen",
    "x",
    "of",
    "eggs",
    ",",
    "1/2",
    "can",
    "i",
    "²",
    "٣",
    "12-pack",
    "-",
    "no",
)
SAYINGS = {
    "2 lbs of chicken breast, a dozen eggs and milk": [
        Item(2, "lb", "chicken breast"),
        Item(12, "each", "eggs"),
        Item(1, "each", "milk", False),
    ],
    "Hi, can I get half a gallon of 2% milk please": [Item(0.5, "gal", "2% milk")],
    "two and a half pounds of ground beef": [Item(2.5, "lb", "ground beef")],
    "a pound and a half of salmon and half a dozen eggs": [Item(1.5, "lb", "salmon"), Item(6, "each", "eggs")],
    "1 1/2 cups rice; ½ lb butter\n500g spaghetti": [
        Item(1.5, "cup", "rice"),
        Item(0.5, "lb", "butter"),
        Item(500, "g", "spaghetti"),
    ],
    "2 lbs. of onions. Also a couple of limes, thanks": [Item(2, "lb", "onions"), Item(2, "each", "limes")],
    "half and half, mac and cheese and a pint of half and half": [
        Item(1, "each", "half and half", False),
        Item(1, "each", "mac and cheese", False),
        Item(1, "pt", "half and half"),
    ],
    "milk x2, 3x bananas and a 12-pack of soda": [
        Item(2, "each", "milk"),
        Item(3, "each", "bananas"),
        Item(1, "each", "12-pack of soda"),
    ],
    "some bread, a few apples": [Item(1, "each", "bread", False), Item(1, "each", "apples", False)],
    "please add eggs to my cart": [Item(1, "each", "eggs", False)],
    "twenty-four eggs": [Item(24, "each", "eggs")],
    "two dozen eggs": [Item(24, "each", "eggs")],
    "a dozen and a half eggs": [Item(18, "each", "eggs")],
    "16 fl oz of olive oil": [Item(16, "fl oz", "olive oil")],
    "a can of beans and a half gallon of juice": [Item(1, "can", "beans"), Item(0.5, "gal", "juice")],
    "can of beans": [Item(1, "can", "beans", False)],
    "three-quarters of a pound of ham": [Item(0.75, "lb", "ham")],
    "2-3 apples": [Item(3, "each", "apples")],
    "couple of bottles of water": [Item(2, "bottle", "water")],
    "I’d like milk & eggs + butter!": [
        Item(1, "each", "milk", False),
        Item(1, "each", "eggs", False),
        Item(1, "each", "butter", False),
    ],
    "": [],
    "please, and thank you": [],
}


class ParseTests(SynchronousTestCase):
    def test_sayings(self):
        """Quantities in figures, words and fractions, units with and without "of", names with an "and" inside."""
        for text, items in SAYINGS.items():
            parsed = parse(text)
            self.assertEqual(list(parsed.items), items, text)
            self.assertEqual(parsed.unparsed, (), text)

    def test_unparsed(self):
        """What cannot be read, or is refused by its writer, is given back and never guessed at."""
        for text in (
            "no onions",
            "don't forget the eggs",
            "2 cans",
            "2",
            "a",
            "0 eggs",
            "1/0 eggs",
            "9999999999999 eggs",
        ):
            parsed = parse(text)
            self.assertEqual((parsed.items, len(parsed.unparsed)), ((), 1), text)

    def test_documents(self):
        """Whole quantities are shown as whole numbers."""
        shown = [item.document()["quantity"] for item in parse("2 eggs, 1/3 lb ham, ½ melon").items]
        self.assertEqual(repr(shown), "[2, 0.333, 0.5]")

    @settings(max_examples=200, deadline=None, database=None)
    @given(st.text(max_size=200) | st.lists(st.sampled_from(WORDS)).map(" ".join))
    def test_any_text(self, text):
        """No text breaks the parser; every item has a positive quantity, a unit and a name."""
        for item in parse(text).items:
            item.document()
            self.assertTrue(item.quantity > 0 and item.unit and item.name.strip())


class MatchTests(SynchronousTestCase):
    def test_match(self):
        """An item means a product if it can mean only that one, whatever the number."""
        shelf = {"1": "Whole milk", "2": "Large white eggs", "3": "Black beans", "4": "Green beans"}
        self.assertEqual([match(name, shelf) for name in ("milk", "egg", "eggs", "black bean")], ["1", "2", "2", "3"])
        self.assertEqual([match(name, shelf) for name in ("beans", "soda", "")], [None, None, None])
