"""A program that knows nothing of the mesh, run by `wmesh register`, in a real registry, seen from outside."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.certificates import Authority
from tests.children import Child, alive, spawn
from tests.control.registry.front import tls_front
from tests.control.registry.scene import Server
from tests.ports import free_port
from tests.waiting import until

RECORDS, LOADS = "{wmesh}:records", "{wmesh}:loads"
WMESH = [sys.executable, "-c", "import sys; from wmesh.cli import main; sys.exit(main())"]


SERVE = """
import http.server, os, signal, sys
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
"""


ECHO = """
import os, sys
from http.server import *
e = os.environ
identity = sys.argv[1] + "/" + e["WMESH_INCARNATION"]
print(e["WMESH_SERVICE"], e["WMESH_INSTANCE_ID"] + "/" + e["WMESH_INCARNATION"], e["WMESH_PORT"], flush=True)
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.send_header("Wmesh-Instance", identity)
        self.end_headers()
HTTPServer(("127.0.0.1", {port}), Answer).serve_forever()
"""


class CompanionCase(TestCase):
    """A registry at `url`, in which what is run is `member`."""

    async def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.remove)
        await self.server.start()
        self.url = self.server.url
        self.port = free_port()
        self.member = f"pricing/127.0.0.1:{self.port}"

    def register(self, *command: str, options: tuple[str, ...] = (), before: tuple[str, ...] = ()) -> Child:
        """`before` is what runs the program that runs `command`."""
        fixed = ["register", "--service", "pricing", "--port", str(self.port), "--registry", self.url]
        child = spawn([*_found(before), *WMESH, *fixed, *options, "--", *command])
        self.addCleanup(self.end, child)
        return child

    async def end(self, child: Child) -> None:
        """With all that it started: some of that may take no notice of its end."""
        for pid in _descendants(child.pid) if child.ended is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await child.end()

    def serve(self, *options: str) -> Child:
        server = (sys.executable, "-u", "-m", "http.server", str(self.port), "--bind", "127.0.0.1")
        return self.register(*server, options=options)


class RunningTests(CompanionCase):
    async def test_its_life(self) -> None:
        """In once its check passes, with what it uses; told to end, it is out, and its exit status is ours."""
        child = self.serve("--health", "/", "--weight", "3", "--tag", "core", "--metadata", "zone=a")
        await self.server.until(1, "HEXISTS", RECORDS, self.member)
        record = json.loads(await self.server.ask("HGET", RECORDS, self.member))
        self.assertEqual((record["weight"], record["tags"], record["metadata"]), (3, ["core"], {"zone": "a"}))
        await self.server.until(
            lambda data: data is not None and json.loads(data)["memory"] > 1e6, "HGET", LOADS, self.member
        )
        child.signal(signal.SIGTERM)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (143, 0))

    async def test_not_before_its_check_passes(self) -> None:
        """It listens, but its check is 404: it runs on, and is not registered."""
        child = self.serve("--health", "/nope")
        await until(lambda: child.errors.count(b"404") > 2, "some checks")
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 0)
        self.assertIsNone(child.ended)

    async def test_it_is_told_who_it_is(self) -> None:
        """Its environment names the instance and the life that are registered; echoed wrongly, it is not registered."""
        server = ECHO.format(port=self.port)
        child = self.register(sys.executable, "-c", server, "one", options=("--health", "/", "--id", "one"))
        await self.server.until(1, "HLEN", RECORDS)
        record = json.loads(await self.server.ask("HGET", RECORDS, "pricing/one"))
        self.assertIn(f"pricing one/{record['incarnation']} {self.port}", child.output.decode())
        child.signal(signal.SIGTERM)
        await until(lambda: child.ended is not None)
        stranger = self.register(sys.executable, "-c", server, "two", options=("--health", "/", "--id", "one"))
        await until(lambda: b"answers as two/" in stranger.errors, "the complaint")
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 0)

    async def test_it_crashes(self) -> None:
        """Out of the registry at once, not at the end of a lease."""
        listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {self.port}))"
        program = f"{listen}; time.sleep(1); raise SystemExit(7)"
        child = self.register(sys.executable, "-c", program)
        await self.server.until(1, "HLEN", RECORDS)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (7, 0))

    async def test_exit_statuses(self) -> None:
        """Those of a shell."""
        table = {("sh", "-c", "exit 3"): 3, ("sh", "-c", "kill -9 $$"): 137, ("no-such-command",): 127, ("true",): 0}
        for command, status in table.items():
            child = self.register(*command)
            await until(lambda child=child: child.ended is not None)
            self.assertEqual(child.ended, status, command)

    async def trapping(self, *names: str, argv: tuple[str, ...] = ()) -> Child:
        """A command that says which signals it got, and goes on; SIGINT ends it with 5."""
        traps = "".join(f"trap 'echo got-{name}' {name}; " for name in names)
        program = f"{traps} trap 'exit 5' INT; trap : ALRM; while :; do sleep 0.05; done"
        child = self.register("sh", "-c", program, before=argv)
        await until(lambda: _descendants(child.pid), "the command")
        await until(lambda: _catches(_descendants(child.pid)[0], signal.SIGALRM), "its traps")
        return child

    async def test_signals_pass_through(self) -> None:
        """What the command makes of them is its own affair, and it goes on; our exit status is its own."""
        names = ("HUP", "USR1", "USR2", "WINCH", "QUIT")
        child = await self.trapping(*names)
        for name in names:
            child.signal(signal.Signals[f"SIG{name}"])
            await until(lambda name=name: f"got-{name}".encode() in child.output, name)
        child.signal(signal.SIGINT)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, child.output.count(b"got-")), (5, len(names)))

    async def test_what_is_of_the_terminal_reaches_the_group(self) -> None:
        """A terminal tells its size and Ctrl-C to all of the foreground, so what the command started hears of it; a
        HUP or USR1 is for the command alone."""
        names = ("WINCH", "USR1")
        inner = "".join(f"trap 'echo inner-{name}' {name}; " for name in names)
        outer = "".join(f"trap 'echo outer-{name}' {name}; " for name in names)
        loop = "trap : ALRM; while :; do sleep 0.05; done"
        child = self.register("sh", "-c", f'{outer} sh -c "{inner} {loop}" & {loop}')
        await until(
            lambda: sum(_catches(pid, signal.SIGALRM) for pid in _descendants(child.pid)) == 2, "the traps of both"
        )
        for name in names[::-1]:
            child.signal(signal.Signals[f"SIG{name}"])
            await until(lambda name=name: f"outer-{name}".encode() in child.output, name)
        await until(lambda: b"inner-WINCH" in child.output)
        self.assertNotIn(b"inner-USR1", child.output)

    async def test_nohup(self) -> None:
        """A SIGHUP that was ignored when we were started is for nobody."""
        child = await self.trapping("USR1", argv=("nohup",))
        child.signal(signal.SIGHUP)
        child.signal(signal.SIGUSR1)
        await until(lambda: b"got-USR1" in child.output)
        self.assertIsNone(child.ended)

    async def test_told_to_end_twice(self) -> None:
        """The first SIGTERM takes it out of the registry; each reaches the command, whatever that makes of it."""
        program = f"{SERVE}signal.signal(signal.SIGTERM, lambda *_: print('term', flush=True)); server.serve_forever()"
        child = self.register(sys.executable, "-c", program, str(self.port))
        await self.server.until(1, "HEXISTS", RECORDS, self.member)
        for count in (1, 2):
            child.signal(signal.SIGTERM)
            await until(lambda count=count: child.output.count(b"term") == count)
            self.assertEqual(await self.server.ask("HLEN", RECORDS), 0)
        self.assertIsNone(child.ended)

    async def test_it_dies_before_it_is_registered(self) -> None:
        """Never in the registry, its status is ours, and that it never came in is said."""
        child = self.register("sh", "-c", "exit 9")
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (9, 0))
        self.assertIn(b"ended before it was registered\n", child.errors)
        child = self.serve("--health", "/nope")
        await until(lambda: b"404" in child.errors, "a check")
        child.signal(signal.SIGTERM)
        await until(lambda: child.ended is not None)
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 0)
        self.assertNotIn(b"before it was registered", child.errors)

    async def test_it_goes_into_the_background(self) -> None:
        """One that daemonises has ended as far as can be seen: it is not registered, and the way out is said."""
        note = Path(self.server.folder, "pid")
        child = self.register("sh", "-c", f"sleep 60 <&- >&- 2>&- & echo $! > {note}")
        await until(lambda: child.ended is not None)
        self.addCleanup(os.kill, int(note.read_text()), signal.SIGKILL)
        self.assertIn(b"has to stay in the foreground", child.errors)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (0, 0))

    async def test_standard_streams_are_its_own(self) -> None:
        """It reads what we were given, to the end; and may close what it likes: it is watched in other ways."""
        close = "import os; [os.close(number) for number in (0, 1, 2)]"
        child = self.register(sys.executable, "-c", f"{SERVE}{close}; server.serve_forever()", str(self.port))
        await self.server.until(1, "HEXISTS", RECORDS, self.member)
        child.signal(signal.SIGTERM)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (143, 0))
        child = self.register("sh", "-c", "cat; exit 3")
        child.transport.write(b"from our standard input")
        child.transport.closeStdin()
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, child.output), (3, b"from our standard input"))

    async def test_without_standard_streams(self) -> None:
        """Started with them closed, as by some init systems: the command runs all the same."""
        closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
        child = self.register("sh", "-c", f"touch {self.server.folder}/ran; exit 6", before=closed)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, Path(self.server.folder, "ran").exists()), (6, True))

    async def test_killed(self) -> None:
        """The command does not outlive it."""
        child = self.serve()
        await self.server.until(1, "HLEN", RECORDS)
        (pid,) = _descendants(child.pid)
        child.signal(signal.SIGKILL)
        await until(lambda: not alive(pid))

    async def test_what_is_not_started(self) -> None:
        """A taken port, a record that makes no sense: 1, and why."""
        with socket.create_server(("127.0.0.1", self.port)):
            child = self.register("touch", f"{self.server.folder}/started")
            await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, b"somebody listens" in child.errors), (1, True))
        child = self.register("touch", f"{self.server.folder}/started", options=("--id", "a b"))
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, b"id: 'a b'" in child.errors), (1, True))
        self.assertFalse(Path(self.server.folder, "started").exists())


class TlsTests(CompanionCase):
    """A registry at rediss://"""

    async def setUp(self) -> None:
        await super().setUp()
        authority = Authority(self.server.folder)
        front = tls_front(self.server, authority.server_options())
        self.addCleanup(front.stopListening)
        self.ca = authority.ca
        self.url = f"rediss://127.0.0.1:{front.getHost().port}?ca={self.ca}"

    async def test_its_life(self) -> None:
        """In and out, as with any other registry."""
        child = self.serve()
        await self.server.until(1, "HEXISTS", RECORDS, self.member)
        child.signal(signal.SIGTERM)
        await until(lambda: child.ended is not None)
        self.assertEqual((child.ended, await self.server.ask("HLEN", RECORDS)), (143, 0))

    async def test_not_trusted(self) -> None:
        """The command runs on, and that the certificate is the trouble is said, without end of trying."""
        self.url = self.url.partition("?")[0]
        child = self.serve()
        await until(lambda: b"certificate" in child.errors, "a word about the certificate")
        self.assertIsNone(child.ended)
        self.assertEqual(await self.server.ask("HLEN", RECORDS), 0)

    async def test_no_authorities(self) -> None:
        """A file of authorities that is not there is named; the command has begun, and runs on without the mesh."""
        self.url = self.url.replace(self.ca, "/no/such/ca.pem")
        child = self.serve()
        await until(lambda: b"not registered: " in child.errors and b"/no/such/ca.pem" in child.errors)
        self.assertIsNone(child.ended)


def _found(argv: tuple[str, ...]) -> list[str]:
    return [str(shutil.which(argv[0])), *argv[1:]] if argv else []


def _descendants(pid: int) -> list[int]:
    """Those that `pid` started, and those that they started, the nearest first."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [below for child in children for below in _descendants(child)]


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has set its trap for a signal (proc(5), SigCgt)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    (line,) = [line for line in lines if line.startswith("SigCgt")]
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
