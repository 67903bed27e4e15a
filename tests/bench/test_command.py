"""Command lines: arguments that are checked, results that are kept, and an end with a word."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import time

from twisted.trial.unittest import TestCase

from bench.command import interruptible, keep, result_files, whole, words
from tests.bench.scratch import scratch


class Arguments(TestCase):
    def test_whole_numbers_only(self) -> None:
        self.assertEqual(whole("3"), 3)
        for text in ("0", "-1", "2.5", "x", ""):
            self.assertRaises(argparse.ArgumentTypeError, whole, text)

    def test_a_name_that_is_not_known_is_refused_with_those_that_are(self) -> None:
        parse = words(["one", "two"])
        self.assertEqual(parse("two, one,"), ["two", "one"])
        error = self.assertRaises(argparse.ArgumentTypeError, parse, "one,three")
        self.assertEqual(str(error), "unknown: three; known are one, two")


class Keeping(TestCase):
    def test_results_are_never_overwritten(self) -> None:
        directory = scratch(self)
        first, data = result_files(directory, "2025-01-31")
        self.assertEqual((first.name, data.name), ("2025-01-31.md", "2025-01-31.json"))
        first.write_text("")
        second, data = result_files(directory, "2025-01-31")
        self.assertEqual((second.name, data.name), ("2025-01-31-2.md", "2025-01-31-2.json"))

    def test_results_have_a_name_of_their_own(self) -> None:
        markdown, _ = result_files(scratch(self), "faults-2025-01-31")
        self.assertEqual(markdown.name, "faults-2025-01-31.md")

    def test_the_page_is_printed_and_kept_and_so_are_the_data(self) -> None:
        directory = scratch(self) / "new"
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            keep(directory, "faults", "# page", "{}")
        self.assertEqual((directory / "faults.md").read_text(), "# page")
        self.assertEqual((directory / "faults.json").read_text(), "{}")
        self.assertEqual(
            printed.getvalue(), f"\n# page\nsaved as {directory / 'faults.md'} and {directory / 'faults.json'}\n"
        )

    def test_a_page_without_data_is_one_file(self) -> None:
        directory = scratch(self)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            keep(directory, "conformance", "# page")
        self.assertEqual([path.name for path in directory.iterdir()], ["conformance.md"])
        self.assertTrue(printed.getvalue().endswith("conformance.md\n"))


class End(TestCase):
    def setUp(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_the_status_is_that_of_the_measurement(self) -> None:
        self.assertEqual(interruptible(lambda: 1), 1)

    def test_sigterm_ends_it_in_order_and_a_second_one_changes_nothing(self) -> None:
        ended = []

        def measure() -> int:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                for _ in range(1000):
                    time.sleep(0.01)  # until it is heard, which is at once
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                ended.append("children")
            return 0

        with contextlib.redirect_stderr(io.StringIO()) as printed:
            self.assertEqual(interruptible(measure), 130)
        self.assertEqual(ended, ["children"])
        self.assertIn("nothing is saved", printed.getvalue())
