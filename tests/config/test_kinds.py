"""Values of each kind: what is accepted, what it becomes, and what is said about the rest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import refusal
from wmesh.config import kinds
from wmesh.config.wording import Invalid


class SimpleTests(SynchronousTestCase):
    def test_switches(self) -> None:
        """All the usual words for yes and no."""
        switch = kinds.switch()
        self.assertEqual([switch.read(word) for word in ("yes", "TRUE", "on", "1")], [True] * 4)
        self.assertEqual([switch.read(word) for word in ("no", "False", "off", "0")], [False] * 4)
        self.assertIn("yes or no", refusal(switch, "maybe"))

    def test_whole_numbers(self) -> None:
        """Both bounds are allowed, beyond them the bounds are named."""
        weight = kinds.whole(1, 1000)
        self.assertEqual([weight.read("1"), weight.read("1000")], [1, 1000])
        for text in ("0", "1001", "-5", "1.5", "x", "٣", "9" * 5000):
            self.assertIn("from 1 to 1000", refusal(weight, text))

    def test_percentages(self) -> None:
        """With and without the sign; nothing of zero or above the bound."""
        share = kinds.percent(100)
        self.assertEqual([share.read("70"), share.read("70.5%")], [70.0, 70.5])
        for text in ("0", "101", "x"):
            refusal(share, text)

    def test_factors(self) -> None:
        """More than what is even, or no bound at all; what lies between would refuse requests."""
        bound = kinds.factor(10_000)
        self.assertEqual([bound.read("0"), bound.read("101"), bound.read("150 %")], [0, 101, 150])
        for text in ("1", "100", "10001", "1.5", "-1", "x"):
            self.assertIn("write a number from 101 to 10000, or 0 for no bound", refusal(bound, text))

    def test_durations_that_were_meant_in_milliseconds(self) -> None:
        """`health_check_timeout = 5000` comes from somebody who thinks in milliseconds."""
        self.assertIn("did you mean 5000ms", refusal(kinds.duration(0.01, 3600), "5000"))

    def test_quotes_and_comments(self) -> None:
        """Habits of other formats are recognised."""
        self.assertIn("without quotes", refusal(kinds.whole(1, 9), '"3"'))
        self.assertIn("line of its own", refusal(kinds.whole(1, 9), "3  # three"))

    def test_choices(self) -> None:
        """A near miss is named, and all that is known is listed."""
        level = kinds.choice(("debug", "warn"), "log level", {"warning": "warn"})
        self.assertEqual([level.read("DEBUG"), level.read("warning")], ["debug", "warn"])
        self.assertIn("did you mean debug?", refusal(level, "debgu"))
        self.assertIn("debug, warn", refusal(level, "loud"))

    def test_expressions(self) -> None:
        """A regular expression that does not compile is found before the first check needs it."""
        self.assertEqual(kinds.expression().read('"ok" *: *true'), '"ok" *: *true')
        for text in ("(", "[", "*", "a{2,1}", "(?P<x>a)(?P<x>b)", "(" * 5000 + ")" * 5000):
            refusal(kinds.expression(), text)

    def test_header_names(self) -> None:
        """One name, without its colon."""
        self.assertEqual(kinds.field_name().read("X-Instance"), "X-Instance")
        for text in ("X Instance", "X-Instance:", "ä", "a" * 101):
            self.assertIn("without a colon", refusal(kinds.field_name(), text))

    def test_headers(self) -> None:
        """One a line, values with colons and commas in them. No message repeats a value: it may be a secret."""
        read = kinds.fields().read
        self.assertEqual(
            read("Authorization: Bearer x:y, z\n\n  X-A :1"), (("Authorization", "Bearer x:y, z"), ("X-A", "1"))
        )
        self.assertEqual(kinds.fields().show((("A", "1"), ("B", "2"))), "A: 1\nB: 2")
        for text, words in (
            ("Bearer s3cret", "Name: value"),
            ("X-A:", "value of X-A"),
            ("X-A: s3cret\x01", "value of X-A"),
            ("X-A: s3cret é", "value of X-A"),
            ("X-A: s3cret\nx-a: s3cret", "x-a stands here twice"),
            ("Host: s3cret", "health_check_host"),
            ("Content-Length: 5", "writes Content-Length itself"),
            ("Sec-WebSocket-Key: s3cret", "writes Sec-WebSocket-Key itself"),
        ):
            said = refusal(kinds.fields(), text)
            self.assertIn(words, said)
            self.assertNotIn("s3cret", said)
        self.assertEqual(read("Sec-WebSocket-Protocol: chat"), (("Sec-WebSocket-Protocol", "chat"),))

    def test_texts_and_files(self) -> None:
        """A line of any kind, up to its bound; a name of a file, without quotes."""
        self.assertEqual(kinds.text(5).read('"é" '), '"é" ')
        self.assertIn("7 bytes", refusal(kinds.text(5), "éé ab"))
        self.assertEqual(kinds.file().read("/etc/ca.pem"), "/etc/ca.pem")
        self.assertIn("without quotes", refusal(kinds.file(), '"ca.pem"'))

    def test_statuses(self) -> None:
        """Single statuses, ranges, and a class."""
        found = kinds.statuses().read("200, 204\n300-399, 4xx")
        self.assertEqual(found, ((200, 200), (204, 204), (300, 399), (400, 499)))
        for text in ("99", "300-200", "600", "ok", ","):
            refusal(kinds.statuses(), text)

    def test_all_bad_entries_of_a_list(self) -> None:
        """A list with three mistakes is corrected once, not three times."""
        try:
            kinds.statuses().read("1, 200\n2\n200")
        except Invalid as error:
            self.assertEqual([bad.row for bad in (error, *error.others)], [0, 1, 2])

    def test_long_state_dir(self) -> None:
        """A path in which no Unix socket could be made is refused now, not at the start."""
        self.assertIn("at most 80", refusal(kinds.path(), "/" + "x" * 100))


class CommandTests(SynchronousTestCase):
    def test_split_like_a_shell(self) -> None:
        """Quotes hold an argument together; lines do not matter."""
        command = kinds.command().read("{python} 'my file.py'\n--port {port} --json '{{}}'")
        self.assertEqual(command, ("{python}", "my file.py", "--port", "{port}", "--json", "{{}}"))

    def test_unknown_placeholders(self) -> None:
        """A placeholder that would stay unfilled is a problem, with those that exist."""
        self.assertIn("did you mean port?", refusal(kinds.command(), "run {prot}"))
        for text in ("run {", "run }", "run {}", "run {port!r}", "run {port:>5}", "run {host.x}", "run {0}"):
            self.assertIn("{host}, {id}, {name}, {port} or {python}", refusal(kinds.command(), text))

    def test_open_quotes_and_comments(self) -> None:
        """What a shell would ask about or drop is a problem."""
        self.assertIn("close every quote", refusal(kinds.command(), "run 'x"))
        self.assertIn("line of its own", refusal(kinds.command(), "run x # the server"))
        self.assertEqual(kinds.command().read("run '#x' a#b"), ("run", "#x", "a#b"))
