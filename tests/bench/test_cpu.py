"""What the kernel prints under /proc, and that reading it from a live process works."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from twisted.trial.unittest import TestCase

from bench import cpu

ROLLUP = """\
55d0c7e0f000-7ffd5a9c1000 ---p 00000000 00:00 0                          [rollup]
Rss:               13584 kB
Pss:               12110 kB
Pss_Dirty:          6876 kB
Shared_Clean:       1700 kB
"""

STAT = """\
cpu  6669 0 3971 424310 763 0 64 554 0 0
cpu0 905 1 1418 215444 25 2 11 271 0 0
cpu1 5764 0 2552 208866 737 0 52 283 0 0
intr 195308 0 0
"""


class Parsers(TestCase):
    def test_schedstat(self) -> None:
        self.assertEqual(cpu.parse_schedstat("1099896401 689078 34\n"), 1099896401)

    def test_parent(self) -> None:
        self.assertEqual(cpu.parse_parent("4711 (nginx) S 4710 4710 4523 0 -1"), 4710)

    def test_parent_of_an_awkward_name(self) -> None:
        self.assertEqual(cpu.parse_parent("4711 (a) S 1 (b c) S 4710 4710 4523"), 4710)

    def test_memory(self) -> None:
        self.assertEqual(cpu.parse_smaps_rollup(ROLLUP), cpu.Memory(13584 * 1024, 12110 * 1024))

    def test_core(self) -> None:
        found = cpu.parse_core(STAT, 0)
        self.assertEqual(found, cpu.CoreTime(905 + 1 + 1418 + 2 + 11, 271))
        self.assertEqual(found.total, 2608)

    def test_core_that_is_not_there(self) -> None:
        self.assertRaises(LookupError, cpu.parse_core, STAT, 2)

    def test_between(self) -> None:
        before = {(1, 1): 100, (1, 2): 50}
        # One thread went on, one stood still, one is new.
        self.assertEqual(cpu.between(before, {(1, 1): 170, (1, 2): 50, (2, 3): 7}), 77)

    def test_between_forgets_what_ended(self) -> None:
        self.assertEqual(cpu.between({(1, 1): 100, (1, 2): 50}, {(1, 1): 130}), 30)


class Live(TestCase):
    def test_own_work_is_counted(self) -> None:
        before = cpu.cpu_time([os.getpid()])
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        spent = cpu.between(before, cpu.cpu_time([os.getpid()]))
        self.assertGreater(spent, 30_000_000)

    def test_own_memory(self) -> None:
        found = cpu.memory([os.getpid()])
        self.assertGreaterEqual(found.rss, found.pss)
        self.assertGreater(found.pss, 1_000_000)

    def test_family(self) -> None:
        program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
        child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 20
            while len(found := cpu.family(child.pid)) < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual(found[0], child.pid)
            self.assertEqual(len(found), 2)
            self.assertIn(child.pid, cpu.family(os.getpid()))
        finally:
            child.communicate(b"\n")
