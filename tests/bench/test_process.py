"""Children: they start on their core, are missed when they die early, and never outlive the run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from twisted.trial.unittest import TestCase

from bench.process import Launch, ProcessError, children, free_ports, wait_until
from tests.bench.scratch import scratch


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Has it ended (within so many seconds)? A zombie that nobody has waited for counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


class Children(TestCase):
    def setUp(self) -> None:
        self.directory = scratch(self)
        self.core = {min(os.sched_getaffinity(0))}

    def test_runs_on_its_core_in_its_directory(self) -> None:
        program = "import os; print(os.sched_getaffinity(0), os.getcwd(), os.environ['WORD'], flush=True); input()"
        with children() as start:
            child = start("child", Launch((sys.executable, "-c", program), {"WORD": "said"}), self.directory, self.core)
            child.process.wait()
            self.assertEqual(child.log.read_text().splitlines()[0], f"{self.core} {self.directory} said")

    def test_is_stopped_once(self) -> None:
        """Its number may be somebody else's the second time."""
        with children() as start:
            child = start("child", Launch((sys.executable, "-c", "input()")), self.directory, self.core)
            child.stop(0.0)
            self.assertTrue(gone(child.pid))
            self.patch(os, "killpg", lambda *_: self.fail("signalled again"))

    def test_grandchildren_end_with_the_group(self) -> None:
        program = (
            "import subprocess, sys, time, signal\n"
            "stubborn = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'\n"
            "print(subprocess.Popen([sys.executable, '-c', stubborn]).pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        with children() as start:
            child = start("child", Launch((sys.executable, "-c", program)), self.directory, self.core)
            wait_until(lambda: child.log.read_text().endswith("\n"), child)
            grandchild = int(child.log.read_text())
            self.assertFalse(gone(grandchild, 0.1))
        self.assertTrue(gone(grandchild))

    def test_ends_them_when_something_goes_wrong(self) -> None:
        pids = []
        with self.assertRaises(KeyboardInterrupt), children() as start:
            for name in ("one", "two"):
                launch = Launch((sys.executable, "-c", "import time; time.sleep(60)"))
                pids.append(start(name, launch, self.directory, self.core).pid)
            raise KeyboardInterrupt
        self.assertTrue(all(gone(pid) for pid in pids))

    def test_early_death_shows_the_log(self) -> None:
        with children() as start:
            launch = Launch((sys.executable, "-c", "import sys; sys.exit('no such option')"))
            child = start("child", launch, self.directory, self.core)
            with self.assertRaises(ProcessError) as caught:
                wait_until(lambda: False, child)
        self.assertIn("child ended with 1", str(caught.exception))
        self.assertIn("no such option", str(caught.exception))


class Ports(TestCase):
    def test_different_and_not_taken(self) -> None:
        first = free_ports(3)
        self.assertEqual(len(set(first)), 3)
        self.assertFalse(set(first) & set(free_ports(3, first)))
