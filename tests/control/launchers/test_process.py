"""The process launcher with real child processes: small Python programs that do one thing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

import wmesh
from wmesh.control.launchers.notes import Notes, note_for
from wmesh.control.launchers.process import LaunchedProcess, ProcessLauncher, State, fill_in
from wmesh.control.launchers.usage import read_stat
from wmesh.errors import LaunchError
from wmesh.model import Address, InstanceRecord, ServiceSpec

ADDRESS = Address("127.0.0.1", 3007)
WAIT = "import sys; print('ready'); sys.stdin.read()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready'); time.sleep(60)"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", {DEAF!r}], stdin=0)
print(child.pid)
sys.stdin.read()
"""


def record(id: str) -> InstanceRecord:
    return InstanceRecord("pricing", id, ADDRESS, incarnation="life-1")


def alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and not stat.ended


class ProcessCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor = reactor
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state_dir = f"{folder.name}/state"
        self.launcher = ProcessLauncher(reactor, self.state_dir)
        self.exits: list[str] = []
        self.exited: Deferred[str] = Deferred()

    def note_exit(self, reason: str) -> None:
        self.exits.append(reason)
        self.exited.callback(reason)

    async def launch(self, program: str, *arguments: str, id: str = "pricing-1") -> LaunchedProcess:
        spec = ServiceSpec("pricing", command=("{python}", "-S", "-c", textwrap.dedent(program), *arguments))
        child = await self.launcher.launch(spec, record(id), self.note_exit)
        self.addCleanup(child.stop, 0.0)
        return child

    async def until(self, condition: Callable[[], object]) -> None:
        """Look again until it is so; the timeout of the test ends what never is."""
        while not condition():
            await deferLater(self.reactor, 0.01)

    async def ready(self, child: LaunchedProcess) -> None:
        await self.until(lambda: "ready" in child.lines)

    def note_files(self) -> list[str]:
        return sorted(path.name for path in Path(self.state_dir).rglob("*.json"))


class LaunchTests(ProcessCase):
    async def test_command_and_environment(self) -> None:
        """Placeholders are filled in, our environment is inherited, and the mesh's variables are added."""
        self.patch(os, "environ", {**os.environ, "INHERITED": "yes"})
        child = await self.launch(
            "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))",
            "{name}", "{id}", "{host}:{port}", "{{}}",
        )  # fmt: skip
        await self.exited
        arguments, environment = json.loads(child.lines[-1])
        self.assertEqual(arguments, ["pricing", "pricing-1", "127.0.0.1:3007", "{}"])
        wanted = {
            "INHERITED": "yes",
            "WMESH_SERVICE": "pricing",
            "WMESH_INSTANCE_ID": "pricing-1",
            "WMESH_INCARNATION": "life-1",
            "WMESH_HOST": "127.0.0.1",
            "WMESH_PORT": "3007",
            "PYTHONUNBUFFERED": "1",
        }
        self.assertEqual({name: environment.get(name) for name in wanted}, wanted)

    async def test_while_it_runs(self) -> None:
        """It has a session of its own, a note, a load, and tells its pid."""
        child = await self.launch(WAIT)
        await self.ready(child)
        stat = read_stat(child.pid)
        self.assertEqual((stat.group, stat.session), (child.pid, child.pid))
        self.assertEqual(self.note_files(), ["pricing-1.json"])
        self.assertGreater(child.load().memory, 100_000)
        self.assertEqual(child.describe()["pid"], child.pid)
        await child.stop(5.0)
        self.assertIsNone(child.load().memory)

    async def test_no_such_command(self) -> None:
        """That is known before anything is started."""
        spec = ServiceSpec("pricing", command=("no-such-program-anywhere",))
        error = await self.assertFailure(self.launcher.launch(spec, record("a"), self.note_exit), LaunchError)
        self.assertIn("no-such-program-anywhere: no such command", str(error))
        spec = ServiceSpec("pricing")
        await self.assertFailure(self.launcher.launch(spec, record("a"), self.note_exit), LaunchError)

    async def test_no_note_no_process(self) -> None:
        """Where no note can be left, nothing is left running either."""
        Path(self.state_dir).write_text("in the way")
        spec = ServiceSpec("pricing", command=("{python}", "-c", WAIT))
        children: list[LaunchedProcess] = []
        original = LaunchedProcess.connectionMade
        self.patch(LaunchedProcess, "connectionMade", lambda child: (children.append(child), original(child)))
        error = await self.assertFailure(self.launcher.launch(spec, record("a"), self.note_exit), LaunchError)
        self.assertIn("state directory", str(error))
        await children[0].stop(0.0)
        self.assertEqual(self.exits, [])


class EndTests(ProcessCase):
    async def test_it_exits(self) -> None:
        """An end in peace: told once, and nothing is left."""
        child = await self.launch("print('bye')")
        self.assertEqual(await self.exited, "exited with code 0")
        self.assertEqual(list(child.lines), ["bye"])
        self.assertIs(child.state, State.ENDED)
        self.assertEqual(self.note_files(), [])
        await child.stop(1.0)

    async def test_last_words(self) -> None:
        """A failure is told with the last line of stderr, where programs say why."""
        await self.launch("raise SystemExit('no such table: prices')")
        self.assertEqual(await self.exited, "exited with code 1: no such table: prices")

    async def test_killed(self) -> None:
        """A signal is told by its name; what was on stderr last has nothing to do with it."""
        child = await self.launch(f"import sys; print('GET /health', file=sys.stderr); {WAIT}")
        await self.ready(child)
        os.kill(child.pid, signal.SIGKILL)
        self.assertEqual(await self.exited, "killed by SIGKILL")

    async def test_its_children_do_not_outlive_it(self) -> None:
        """What it started is killed with it, even if it holds the pipes open and ignores SIGTERM."""
        child = await self.launch(PARENT)
        await self.until(lambda: len(child.lines) >= 2)
        grandchild = int(next(line for line in child.lines if line.isdigit()))
        os.kill(child.pid, signal.SIGKILL)
        await self.exited
        await self.until(lambda: not alive(grandchild))

    async def test_stop(self) -> None:
        """SIGTERM is enough for who obeys; asking twice is one end; `exited` is not called."""
        child = await self.launch(WAIT)
        await self.ready(child)
        first, second = child.stop(10.0), child.stop(10.0)
        await first
        await second
        self.assertEqual((self.exits, self.note_files()), ([], []))
        self.assertFalse(alive(child.pid))

    async def test_stop_insists(self) -> None:
        """Who does not obey is killed after the timeout, with all that it started."""
        child = await self.launch(PARENT.replace("import subprocess", "import signal, subprocess").replace(
            "print(child.pid)", "signal.signal(15, signal.SIG_IGN); print(child.pid)"))  # fmt: skip
        await self.until(lambda: len(child.lines) >= 2)
        grandchild = int(next(line for line in child.lines if line.isdigit()))
        began = self.reactor.seconds()
        await child.stop(0.3)
        self.assertGreaterEqual(self.reactor.seconds() - began, 0.29)
        await self.until(lambda: not alive(grandchild))

    async def test_less_patience(self) -> None:
        """A second stop may shorten the wait of the first."""
        child = await self.launch(STUBBORN)
        await self.ready(child)
        first = child.stop(60.0)
        await child.stop(0.05)
        await first

    async def test_stop_at_once(self) -> None:
        """Stopped before it even has its session: it ends all the same."""
        child = await self.launch(WAIT)
        await child.stop(10.0)
        self.assertEqual((self.exits, self.note_files()), ([], []))


class OutputTests(ProcessCase):
    async def test_the_log(self) -> None:
        """stdout goes to the log at debug, stderr at warn, both with the instance's id."""
        with capturedLogs() as events:
            await self.launch("import sys; print('one {{x}}'); print('two', file=sys.stderr)")
            await self.exited
        seen = {(event["log_level"], event["id"], event["line"]) for event in events if "line" in event}
        self.assertEqual(seen, {(LogLevel.debug, "pricing-1", "one {x}"), (LogLevel.warn, "pricing-1", "two")})

    async def test_the_last_lines(self) -> None:
        """100 lines are kept; one without end is cut; bytes that are no text do no harm."""
        child = await self.launch(
            """
            import sys
            for number in range(150):
                print(number)
            sys.stdout.flush()
            sys.stdout.buffer.write(b"\\xff" + b"x" * 20000 + b" end")
            """
        )
        await self.exited
        self.assertEqual(len(child.lines), 100)
        self.assertEqual(child.lines[0], "53")
        self.assertTrue(child.lines[-1].endswith("x end"))
        self.assertTrue(child.lines[97].startswith("\N{REPLACEMENT CHARACTER}x"))


class SweepTests(ProcessCase):
    async def test_after_kill_9(self) -> None:
        """A gateway is killed; the next one finds what it launched (stubborn enough to outlive it), and ends it all."""
        gateway = subprocess.Popen(
            [sys.executable, "-c", _GATEWAY, self.state_dir, DEAF],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(wmesh.__file__).parents[1])},
        )
        try:
            pid = int(gateway.stdout.readline())
        finally:
            gateway.kill()
            gateway.communicate()
        self.assertTrue(alive(pid))
        self.assertEqual(await self.launcher.sweep(patience=0.5), ["pricing-1"])
        self.assertFalse(alive(pid))
        self.assertEqual(self.note_files(), [])

    async def test_nothing_to_do(self) -> None:
        """No state directory yet: nothing happens, and nothing is made."""
        self.assertEqual(await self.launcher.sweep(), [])
        self.assertFalse(Path(self.state_dir).exists())

    async def test_our_own(self) -> None:
        """What this gateway runs itself is never swept."""
        child = await self.launch(WAIT)
        await self.ready(child)
        self.assertEqual(await self.launcher.sweep(), [])
        self.assertTrue(alive(child.pid))

    async def test_somebody_else_has_its_pid(self) -> None:
        """A note about a process long gone, whose pid is another's now: that one is left in peace."""
        child = await self.launch(WAIT)
        await self.ready(child)
        note = note_for("old-1", child.pid, ())
        values = {"id": "old-1", "pid": note.pid, "started": note.started - 1, "boot": note.boot}
        stale = type(note)(**values, owner=note.owner, owner_started=0)
        Notes(self.state_dir).write(stale)
        self.assertEqual(await self.launcher.sweep(), [])
        self.assertTrue(alive(child.pid))
        self.assertEqual(self.note_files(), ["pricing-1.json"])


class FillInTests(SynchronousTestCase):
    def test_unknown_placeholders(self) -> None:
        """One that does not exist is refused by name, with those that do."""
        for argument in ("{prot}", "{", "{0}", "{}", "{port.x}"):
            error = self.assertRaises(LaunchError, fill_in, (argument,), ServiceSpec("a"), "a-1", ADDRESS)
            self.assertIn("{port}", str(error))


_GATEWAY = """
import sys
from twisted.internet import reactor
from wmesh.control.launchers.process import ProcessLauncher
from wmesh.model import Address, InstanceRecord, ServiceSpec

def ready(child):
    if "ready" in child.lines:
        print(child.pid, flush=True)
    else:
        reactor.callLater(0.01, ready, child)

def start():
    spec = ServiceSpec("pricing", command=("{python}", "-S", "-c", sys.argv[2]))
    record = InstanceRecord("pricing", "pricing-1", Address("127.0.0.1", 1))
    launched = ProcessLauncher(reactor, sys.argv[1]).launch(spec, record, print)
    launched.addCallback(ready)

reactor.callWhenRunning(start)
reactor.run()
"""
