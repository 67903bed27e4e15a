"""The shape of the file: what is a section, an option, a value of several lines, a comment, a mistake."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.config.reader import read


def shape(text: str) -> list[tuple[str, list[tuple[str, int, str]]]]:
    sections, problems = read(text, "f")
    assert not problems, problems
    return [(s.name, [(e.name, e.line, e.text) for e in s.entries]) for s in sections]


def complaints(text: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in read(text, "f")[1]]


class ReadTests(SynchronousTestCase):
    def test_sections_and_options_with_their_lines(self) -> None:
        """Every option remembers the line it stands in."""
        self.assertEqual(
            shape("# hello\n[a]\nx = 1\n\ny=two words\n[service: b ]\nx =\n"),
            [("a", [("x", 3, "1"), ("y", 5, "two words")]), ("service:b", [("x", 7, "")])],
        )

    def test_indented_lines_go_on(self) -> None:
        """A list may stand below its name; comments and empty lines may stand between its entries."""
        text = "[a]\nx =\n  one\n  # not two\n\n\tthree = 3\ny = 1\n"
        self.assertEqual(shape(text), [("a", [("x", 2, "\none\nthree = 3"), ("y", 7, "1")])])

    def test_an_entry_knows_the_line_of_each_row(self) -> None:
        """A problem in the third entry of a list is reported at the line of the third entry."""
        entry = read("[a]\nx = one\n  # no\n  two\n", "f")[0][0].entries[0]
        self.assertEqual([entry.line_of(0), entry.line_of(1), entry.line_of(9)], [2, 4, 2])

    def test_a_file_that_is_indented_throughout(self) -> None:
        """A file pasted with a margin reads like one without."""
        self.assertEqual(shape("  [a]\n  x = 1\n    2\n  y = 3"), [("a", [("x", 2, "1\n2"), ("y", 4, "3")])])

    def test_other_systems_line_ends(self) -> None:
        """A file that was edited on Windows is the same file, byte order mark and all."""
        self.assertEqual(shape("\ufeff[a]\r\nx = 1\r\n"), [("a", [("x", 2, "1")])])

    def test_nothing_is_replaced(self) -> None:
        """Percent signs and the comment signs inside a value are left alone."""
        self.assertEqual(shape("[a]\nx = 100%(y)s;#"), [("a", [("x", 2, "100%(y)s;#")])])

    def test_duplicates_name_both_lines(self) -> None:
        """A forgotten second copy of a section or an option is found, and so is the first."""
        self.assertEqual(
            complaints("[a]\nx = 1\nx = 2\n[a]\nx = 3\n"),
            [
                (3, "this option is already at line 2"),
                (4, "this section is already at line 1"),
                (5, "this option is already at line 2"),
            ],
        )

    def test_lines_that_fit_nowhere(self) -> None:
        """Each line that is neither section nor option is reported; what hangs below it is not reported again."""
        text = "x = 1\ny = 1\n[a\nz = 1\n[b]\nlonely\n  below\nok = 1\nkey: value\n[]\n"
        self.assertEqual([line for line, _ in complaints(text)], [1, 3, 6, 9, 10])

    def test_a_colon_instead_of_an_equals_sign(self) -> None:
        """Who writes YAML is told what to write instead, and a password in that line is not shown."""
        problem = read("[registry]\nurl: redis://:hunter2@host\n", "f")[1][0]
        self.assertIn("write url = value", problem.hint)
        self.assertNotIn("hunter2", str(problem))

    def test_control_characters(self) -> None:
        """What an editor hides must not decide what a configuration means."""
        self.assertEqual([line for line, _ in complaints("[a]\nx = \x00\ny = \x1b[2J\nz = tab\tis fine")], [2, 3])
