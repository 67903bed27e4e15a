"""Tables for a terminal, and the words in them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli.tables import size, span, table


class TableTests(SynchronousTestCase):
    def test_columns(self) -> None:
        """As wide as their widest cell, heads included; numbers to the right; no blanks at the end of a line."""
        rows = [("a", "1", "x"), ("longer", "1000", "")]
        self.assertEqual(
            list(table(("NAME", "N", "WHY"), rows, ("N",))),
            ["NAME       N  WHY", "a          1  x", "longer  1000"],
        )

    def test_only_a_head(self) -> None:
        """Without rows it is still a table."""
        self.assertEqual(list(table(("A", "B"), ())), ["A  B"])

    def test_what_comes_from_elsewhere(self) -> None:
        """Control characters are shown, and count with the width that they are shown with. Letters stay."""
        lines = list(table(("NAME", "N"), [("\x1b[2J\n", "1"), ("größe", "2"), ("\u202e", "3")]))
        self.assertEqual(lines, ["NAME       N", r"\x1b[2J\n  1", "größe      2", r"\u202e     3"])

    def test_a_row_of_another_length(self) -> None:
        """Is a mistake of the caller, not a table."""
        self.assertRaises(ValueError, list, table(("A", "B"), [("1", "2", "3")]))


class WordTests(SynchronousTestCase):
    def test_size(self) -> None:
        """Up to the next unit; what is not known is a dash."""
        values = {None: "-", 0: "0 B", 1023: "1023 B", 1024: "1 KiB", 73400320: "70 MiB", 5 * 2**30: "5.0 GiB"}
        self.assertEqual({value: size(value) for value in values}, values)
        self.assertEqual(size(3000 * 2**30), "3000.0 GiB")

    def test_span(self) -> None:
        """In a unit of which there are at least two."""
        values = {None: "-", 0.4: "0s", 119.0: "119s", 120.0: "2m", 7199.0: "120m", 7200.0: "2h", 172800.0: "2d"}
        self.assertEqual({value: span(value) for value in values}, values)
