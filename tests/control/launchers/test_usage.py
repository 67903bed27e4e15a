"""What a process tree uses: the parser on lines that try to fool it, the meter on a made-up /proc and on ourselves."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.launchers.usage import PAGE, TICKS, UsageMeter, all_stats, parse_stat, read_stat, tree
from wmesh.model import LoadSample


def stat_line(pid: int, name: str = "x", state: str = "S", ticks: tuple[int, int] = (0, 0), **more: int) -> str:
    """A line as in proc(5): fields 3 to 24 and some that follow."""
    fields = [state, more.get("parent", 1), more.get("group", pid), more.get("session", pid), 0, -1, 0, 0, 0, 0, 0]
    fields += [*ticks, 0, more.get("children_ticks", 0), 20, 0, 1, 0, more.get("started", 0), 1 << 20]
    fields += [more.get("resident", 0), 18446744073709551615, 1, 2]
    return f"{pid} ({name}) {' '.join(map(str, fields))}\n"


class FakeProc:
    """A folder that looks like /proc."""

    def __init__(self, root: str) -> None:
        self.root = root

    def uptime(self, seconds: float) -> None:
        Path(self.root, "uptime").write_text(f"{seconds:.2f} 1.0\n")

    def process(self, pid: int, line: str, *children: int) -> None:
        thread = Path(self.root, str(pid), "task", str(pid))
        thread.mkdir(parents=True, exist_ok=True)
        Path(self.root, str(pid), "stat").write_text(line)
        (thread / "children").write_text("".join(f"{child} " for child in children))


class ParseTests(SynchronousTestCase):
    def test_a_real_line(self) -> None:
        """Our own line has our pid, parent and group in it."""
        stat = read_stat(os.getpid())
        self.assertEqual((stat.pid, stat.parent, stat.group), (os.getpid(), os.getppid(), os.getpgrp()))
        self.assertFalse(stat.ended)

    def test_names_that_look_like_fields(self) -> None:
        """A process may call itself anything: only the last parenthesis ends the name."""
        stat = parse_stat(stat_line(7, ") R 1 (", "Z", (3, 4), started=99, resident=5))
        self.assertEqual((stat.pid, stat.state, stat.ticks, stat.started, stat.resident), (7, "Z", 7, 99, 5))
        self.assertTrue(stat.ended)

    def test_nonsense(self) -> None:
        """Anything else is a ValueError, and for readers a process that is not there."""
        for text in ("", "7", "7 (x)", "7 (x) S 1 2", "a (x) " + stat_line(1).split(") ")[1]):
            self.assertRaises(ValueError, parse_stat, text)


class MeterTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.proc = FakeProc(folder.name)

    def test_cpu_is_a_difference(self) -> None:
        """The first sample covers the whole life, the second the time since the first."""
        self.proc.uptime(100.0)
        self.proc.process(7, stat_line(7, ticks=(2 * TICKS, 0), started=90 * TICKS, resident=10))
        meter = UsageMeter(7, self.proc.root)
        self.assertEqual(meter.sample(), LoadSample(20.0, 10 * PAGE))
        self.proc.uptime(102.0)
        self.proc.process(7, stat_line(7, ticks=(2 * TICKS, 1 * TICKS), started=90 * TICKS, resident=11))
        self.assertEqual(meter.sample(), LoadSample(50.0, 11 * PAGE))

    def test_the_whole_tree(self) -> None:
        """Children and theirs count, also those that ended and were waited for; a loop in bad data ends."""
        self.proc.uptime(10.0)
        self.proc.process(7, stat_line(7, ticks=(TICKS, 0), children_ticks=TICKS, resident=1), 8)
        self.proc.process(8, stat_line(8, ticks=(TICKS, 0), resident=2), 9, 7)
        self.proc.process(9, stat_line(9, ticks=(2 * TICKS, 0), resident=3))
        self.assertEqual([stat.pid for stat in tree(7, self.proc.root)], [7, 8, 9])
        self.assertEqual(UsageMeter(7, self.proc.root).sample(), LoadSample(50.0, 6 * PAGE))

    def test_never_negative(self) -> None:
        """A child that nobody waited for takes its time with it: the sample is 0, not less."""
        self.proc.uptime(10.0)
        self.proc.process(7, stat_line(7, ticks=(5 * TICKS, 0)))
        meter = UsageMeter(7, self.proc.root)
        meter.sample()
        self.proc.uptime(11.0)
        self.proc.process(7, stat_line(7, ticks=(1 * TICKS, 0)))
        self.assertEqual(meter.sample().cpu, 0.0)

    def test_twice_at_once(self) -> None:
        """No time has passed: no percentage can be told, and nothing is divided by zero."""
        self.proc.uptime(10.0)
        self.proc.process(7, stat_line(7, resident=1))
        meter = UsageMeter(7, self.proc.root)
        meter.sample()
        self.assertEqual(meter.sample(), LoadSample(None, PAGE))

    def test_gone(self) -> None:
        """Of a process that is gone or a zombie nothing is known."""
        self.proc.uptime(10.0)
        self.assertEqual(UsageMeter(7, self.proc.root).sample(), LoadSample())
        self.proc.process(7, stat_line(7, state="Z"))
        self.assertEqual(UsageMeter(7, self.proc.root).sample(), LoadSample())

    def test_no_proc_at_all(self) -> None:
        """Elsewhere than on Linux everything is unknown, and nothing breaks."""
        self.assertEqual(UsageMeter(os.getpid(), "/nonexistent").sample(), LoadSample())
        self.assertEqual(list(all_stats("/nonexistent")), [])

    def test_ourselves(self) -> None:
        """The real /proc: this test uses some memory, and has used some time."""
        sample = UsageMeter(os.getpid()).sample()
        self.assertGreater(sample.memory, 1_000_000)
        self.assertGreater(sample.cpu, 0.0)
