"""Tests of wmesh.console: what a person sees in the terminal and in the journal."""

from __future__ import annotations

import io
import os
import pty
import re
import time
from typing import Any

from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from wmesh.console import ConsoleObserver, clean, console_observer, is_journal

LINE = re.compile(r"(\d\d:\d\d:\d\d) (\w+) +(.*)\n")


class ConsoleTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = io.StringIO()

    def logger(self, namespace: str = "wmesh.control", level: str = "info", **options: Any) -> Logger:
        return Logger(namespace, observer=ConsoleObserver(self.stream, level, **options))

    def texts(self) -> list[str]:
        """The texts of the lines so far, without time and level."""
        return [found[3] for line in self.stream.getvalue().splitlines(True) if (found := LINE.fullmatch(line))]


class LineTests(ConsoleTestCase):
    def test_one_line_an_event(self) -> None:
        """Time of day, level, text, in columns."""
        observer = ConsoleObserver(self.stream, "info")
        moment = time.mktime((2025, 6, 1, 12, 3, 44, 0, 0, -1))
        for level in (LogLevel.info, LogLevel.critical):
            observer(
                {
                    "log_time": moment,
                    "log_level": level,
                    "log_namespace": "wmesh.control",
                    "log_format": "{service} is healthy",
                    "service": "pricing",
                }
            )
        self.assertEqual(
            self.stream.getvalue(), "12:03:44 info     pricing is healthy\n12:03:44 critical pricing is healthy\n"
        )

    def test_it_is_an_observer(self) -> None:
        """Twisted accepts it wherever it asks for one."""
        self.assertTrue(verifyObject(ILogObserver, console_observer(self.stream, "info")))

    def test_failures_bring_their_traceback(self) -> None:
        """What went wrong is there to read, below the line that says what was being done."""
        try:
            raise ZeroDivisionError("by zero")
        except ZeroDivisionError:
            self.logger().failure("Probing {id} failed", id="p1")
        first, *rest = self.stream.getvalue().splitlines()
        self.assertTrue(first.endswith("critical Probing p1 failed"), first)
        self.assertTrue(all(line.startswith("    ") for line in rest), rest)
        self.assertIn("builtins.ZeroDivisionError: by zero", rest[-1])


class LevelTests(ConsoleTestCase):
    def shown(self, namespace: str, level: str) -> list[str]:
        self.stream = io.StringIO()
        logger = self.logger(namespace, level)
        for name in ("debug", "info", "warn", "error", "critical"):
            logger.emit(LogLevel.levelWithName(name), name)
        return self.texts()

    def test_our_own_words_from_the_configured_level_on(self) -> None:
        """log_level decides what wmesh and the instances it launched may say."""
        for namespace in ("wmesh", "wmesh.control.prober", "instance", "instance.pricing"):
            self.assertEqual(self.shown(namespace, "debug"), ["debug", "info", "warn", "error", "critical"])
            self.assertEqual(self.shown(namespace, "info"), ["info", "warn", "error", "critical"])
            self.assertEqual(self.shown(namespace, "error"), ["error", "critical"])

    def test_twisteds_chatter_only_when_it_matters(self) -> None:
        """Factories that start and stop interest nobody but those who debug; warnings interest everybody."""
        for namespace in ("twisted.internet.protocol", "log_legacy", "wmeshed", "stdout"):
            self.assertEqual(self.shown(namespace, "debug"), ["debug", "info", "warn", "error", "critical"])
            self.assertEqual(self.shown(namespace, "info"), ["warn", "error", "critical"])
            self.assertEqual(self.shown(namespace, "error"), ["error", "critical"])

    def test_the_level_can_be_changed(self) -> None:
        """An operator turns debugging on and off without a restart."""
        observer = ConsoleObserver(self.stream, "warn")
        logger = Logger("wmesh", observer=observer)
        logger.info("one")
        observer.level = "info"
        logger.info("two")
        observer.level = "critical"
        logger.info("three")
        self.assertEqual((self.texts(), observer.level), (["two"], "critical"))


class HostileTextTests(ConsoleTestCase):
    def test_nobody_forges_a_line(self) -> None:
        """A line feed in what a client sent continues the line, visibly; it does not begin another event."""
        self.logger().info("path {path}", path="/x\n12:00:00 critical all is lost")
        self.assertEqual(self.stream.getvalue().splitlines()[1], "    12:00:00 critical all is lost")
        self.assertEqual(self.texts(), ["path /x"])

    def test_nobody_steers_the_terminal(self) -> None:
        """Colours of an instance's output are dropped, other control characters are written out."""
        self.assertEqual(clean("\x1b[1;32mready\x1b[0m"), "ready")
        self.assertEqual(clean("a\x07b\x1b]0;title\x07\x9b2J\x00"), r"a\x07b\x1b]0;title\x07\x9b2J\x00")
        self.assertEqual(clean("ünï\tcödé ✓"), "ünï\tcödé ✓")


class NeverRaisesTests(ConsoleTestCase):
    def test_a_broken_event_is_still_told(self) -> None:
        """A mistake in a log call costs the text, not the program."""
        self.logger().info("where is {it}")
        self.assertIn("Unable to format", self.stream.getvalue())
        ConsoleObserver(self.stream, "info")({})
        ConsoleObserver(self.stream, "info")({"log_time": "yesterday", "log_level": LogLevel.error, "log_format": "x"})

    def test_a_stream_that_is_gone(self) -> None:
        """A terminal that was closed does not stop the gateway."""
        logger = self.logger()
        self.stream.close()
        logger.error("nobody hears this")

    def test_a_stream_that_knows_only_ascii(self) -> None:
        """With LANG=C the text arrives with its foreign letters written out."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, "ascii")
        Logger("wmesh", observer=ConsoleObserver(stream, "info")).info("café ✓")
        self.assertTrue(raw.getvalue().endswith(rb"caf\xe9 \u2713" + b"\n"), raw.getvalue())


class JournalTests(ConsoleTestCase):
    def test_priorities_and_no_time(self) -> None:
        """journald has the time itself, and sorts by priority."""
        logger = self.logger(level="debug", journal=True, colours=True)
        for name in ("debug", "info", "warn", "error", "critical"):
            logger.emit(LogLevel.levelWithName(name), name)
        self.assertEqual(self.stream.getvalue(), "<7>debug\n<6>info\n<4>warn\n<3>error\n<2>critical\n")

    def test_every_line_has_its_priority(self) -> None:
        """journald takes each line for an entry, so the lines of a traceback say how grave they are, too."""
        self.logger(journal=True).error("one\ntwo")
        self.assertEqual(self.stream.getvalue(), "<3>one\n<3>    two\n")

    def test_only_a_stream_that_leads_there(self) -> None:
        """A shell in a desktop session inherits JOURNAL_STREAM, but its output goes to the screen."""
        with open(self.mktemp(), "w") as stream:
            status = os.fstat(stream.fileno())
            mine = f"{status.st_dev}:{status.st_ino}"
            self.assertTrue(is_journal(stream, {"JOURNAL_STREAM": mine}))
            for other in (f"{status.st_dev}:{status.st_ino + 1}", "", "nonsense", "1:2:3"):
                self.assertFalse(is_journal(stream, {"JOURNAL_STREAM": other}), other)
            self.assertFalse(is_journal(stream, {}))
            self.patch(os, "environ", {"JOURNAL_STREAM": mine})
            Logger("wmesh", observer=console_observer(stream, "info")).info("hello")
            self.assertEqual(stream.tell(), len("<6>hello\n"))
        self.assertFalse(is_journal(io.StringIO(), {"JOURNAL_STREAM": "8:1"}))


class ColourTests(ConsoleTestCase):
    def shown(self, environment: dict[str, str]) -> bytes:
        """What a terminal gets to see of a warning."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.patch(os, "environ", environment)
        with open(slave, "w") as stream:
            Logger("wmesh", observer=console_observer(stream, "info")).warn("careful")
            return os.read(master, 1000)

    def test_terminals_get_colours_unless_they_do_not_want_them(self) -> None:
        """Warnings stand out, and NO_COLOR and dumb terminals are respected."""
        self.assertTrue(self.shown({"TERM": "xterm"}).startswith(b"\x1b[33m"))
        self.assertNotIn(b"\x1b", self.shown({"TERM": "dumb"}))
        self.assertNotIn(b"\x1b", self.shown({"TERM": "xterm", "NO_COLOR": "1"}))

    def test_files_and_pipes_do_not(self) -> None:
        """What is kept or searched stays plain."""
        Logger("wmesh", observer=console_observer(self.stream, "info")).error("plain")
        self.assertNotIn("\x1b", self.stream.getvalue())
