"""A search that is bounded, on expressions that are not."""

from __future__ import annotations

import re
import signal
import threading
import time

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.probes import search
from wmesh.control.probes.search import TooSlow, found


class FoundTests(SynchronousTestCase):
    def test_ordinary(self) -> None:
        """Python's expressions, searched anywhere; what is none says so."""
        self.assertTrue(found('"status": *"healthy"', '{"status": "healthy"}'))
        self.assertFalse(found("^healthy", "not healthy"))
        self.assertRaises(re.error, found, "(", "")

    def test_what_would_take_for_ever(self) -> None:
        """Exponential expressions (years), and quadratic ones (seconds), are given up; the next search is unharmed."""
        for expression, text in (
            (r"(a+)+$", "a" * 64 + "b"),
            (r"(\w+\s?)*$", "word " * 1000 + "!"),
            (r"((a*)*)*b", "a" * 64),
            (r".*.*x", "a" * 65536),
            (r"\s*ok", " " * 65536),
        ):
            before = time.process_time()
            self.assertRaises(TooSlow, found, expression, text)
            # Not a matter of speed: without a bound it is at least three seconds.
            self.assertLess(time.process_time() - before, 2.5, expression)
            self.assertTrue(found("ok", "ok"))

    def test_no_timer_stays(self) -> None:
        """Neither after a search that ended by itself nor after one that was given up; a late ring means nothing."""
        found("a", "b")
        self.assertEqual(signal.getitimer(signal.ITIMER_VIRTUAL), (0.0, 0.0))
        self.assertRaises(TooSlow, found, r"(a+)+$", "a" * 64 + "b")
        self.assertEqual(signal.getitimer(signal.ITIMER_VIRTUAL), (0.0, 0.0))
        signal.raise_signal(signal.SIGVTALRM)

    def test_in_another_thread(self) -> None:
        """Signals are not for other threads: there it searches as ever, and interrupts nobody."""
        answers = []
        thread = threading.Thread(target=lambda: answers.append(found("a", "a")))
        self.patch(search.signal, "setitimer", lambda *_: self.fail("a timer in a thread that cannot hear it"))
        thread.start()
        thread.join()
        self.assertEqual(answers, [True])
