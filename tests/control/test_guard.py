"""The guard: a child that dies with its parent, leaves the terminal's signals to it, and says why it cannot start."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.children import Child, alive, spawn
from tests.waiting import until
from wmesh.control.guard import guarded

# A parent that starts a guarded sleeper, says its pid, and waits to be killed.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen(eval(sys.argv[1]) or [])
print(child.pid, flush=True)
time.sleep(60)
"""


class GuardTests(TestCase):
    """guarded() and the program behind it."""

    def spawn(self, argv: list[str]) -> Child:
        child = spawn(argv)
        self.addCleanup(child.end)
        return child

    async def test_becomes_the_command(self) -> None:
        """The command runs under the pid that the parent knows, with its output, arguments and exit code."""
        child = self.spawn(guarded(["sh", "-c", 'echo "$$ $0 $1"; exit 7', "a b", "c"]))
        await until(lambda: child.ended is not None)
        self.assertEqual(child.ended, 7)
        self.assertRegex(child.output.decode(), r"^\d+ a b c\n$")

    async def test_session_of_its_own(self) -> None:
        """Ctrl-C in the terminal goes to the gateway's group; the child is not in it."""
        child = self.spawn(guarded(["sleep", "60"]))
        await until(lambda: os.getsid(child.pid) == child.pid)
        self.assertNotEqual(os.getpgid(child.pid), os.getpgid(0))

    async def test_signals_as_after_any_exec(self) -> None:
        """SIGPIPE, which Python ignores, kills the command as its author expects."""
        child = self.spawn(guarded(["sh", "-c", "kill -PIPE $$; echo survived"]))
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, child.output), (-signal.SIGPIPE, b""))

    async def test_dies_with_its_parent(self) -> None:
        """kill -9 of the parent ends the child, which cannot be told in any other way."""
        argv = ["import os; from wmesh.control.guard import guarded", PARENT]
        parent = self.spawn([sys.executable, "-c", "\n".join(argv), "guarded(['sleep', '60'])"])
        await until(lambda: parent.output.endswith(b"\n"))
        pid = int(parent.output)
        await until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"))
        self.assertTrue(alive(pid))
        parent.signal(signal.SIGKILL)
        await until(lambda: not alive(pid), "the child's death")

    async def test_parent_gone_already(self) -> None:
        """A parent that died before the guard could bind to it: the command is not started."""
        child = self.spawn(guarded(["echo", "started"], parent=1 if os.getpid() != 1 else 2))
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, child.output), (125, b""))
        self.assertIn(b"is gone", child.errors)

    async def test_no_such_command(self) -> None:
        """127 and a line that names the command."""
        for command in ("no-such-command-anywhere", "/no/such/file"):
            child = self.spawn(guarded([command, "x"]))
            await until(lambda child=child: child.ended is not None)
            self.assertEqual(child.ended, 127)
            self.assertIn(f"{command}: no such command", child.errors.decode())

    async def test_not_executable(self) -> None:
        """126 and a line that says so."""
        with tempfile.NamedTemporaryFile() as file:
            child = self.spawn(guarded([file.name]))
            await until(lambda: child.ended is not None)
        self.assertEqual(child.ended, 126)
        self.assertIn(b"cannot be run", child.errors)

    async def test_usage(self) -> None:
        """Called wrongly it explains itself."""
        argv = guarded(["true"])
        for wrong in (argv[:4], argv[:5], [*argv[:4], "x", "--", "true"]):
            child = self.spawn(wrong)
            await until(lambda child=child: child.ended is not None)
            self.assertEqual(child.ended, 2)
            self.assertIn(b"usage", child.errors)

    async def test_imports_nothing_of_ours(self) -> None:
        """It starts quickly because it loads neither wmesh nor site-packages."""
        argv = guarded(["true"])
        argv.insert(1, "-v")
        child = self.spawn(argv)
        await until(lambda: child.ended is not None)
        self.assertNotIn(b"import 'wmesh", child.errors)
        self.assertNotIn(b"import 'site'", child.errors)
