"""Way in number four: the walk through the registry with `redis-cli` works as it is printed in the manual.

The page itself is the scenario. Its `mesh.ini` is written, its gateway is started where it says `gateway$`, and every
`$` line is typed into one shell; what the shell answers has to be what is printed below the line. Three things are
changed on the way: ports become free ones (and are read back as the printed ones), numbers that cannot be foreseen are
masked on both sides, and commands that ask the gateway are asked again until it has had its moment.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.protocol import ProcessProtocol

from tests.control.registry.scene import Server
from tests.ports import free_port
from tests.scenarios.meshes import ROOT
from tests.scenarios.pages import blocks
from tests.scenarios.stage import Stage
from tests.scenarios.waiting import until
from wmesh.control.guard import guarded

PAGE = ROOT / "docs" / "registry-redis-cli.rst"
STAND_IN = ROOT / "tests" / "scenarios" / "redis_cli.py"
REAL = shutil.which("redis-cli")
ASKS_THE_GATEWAY = ("wmesh instances", "curl ")
PORTS = ("8000", "8001", "3007")
END = "the-command-has-ended"

# SHA-1 sums, versions and times, entries of the stream, durations; and how wide columns are.
MASKS = (
    (r"\b[0-9a-f]{40}\b", "SHA"),
    (r"\b\d{13}(-\d+)?\b", "NUMBER"),
    (r"\b\d+[smhd]\b", "SPAN"),
    (r"(?<=\S) +", " "),
)

needs_real = pytest.mark.skipif(REAL is None, reason="there is no redis-cli on PATH")


def dialogue(page: str) -> list[tuple[str, str, list[str]]]:
    """Terminal, command and printed answer of each step."""
    steps: list[tuple[str, str, list[str]]] = []
    for line in (line for block in blocks(page, "console") for line in block):
        prompt = re.match(r"(\w*)\$ (.*)", line)
        if prompt:
            steps.append((prompt[1], prompt[2], []))
        else:
            steps[-1][2].append(line)
    return steps


def masked(lines: list[str]) -> list[str]:
    for pattern, sign in MASKS:
        lines = [re.sub(pattern, sign, line.rstrip()) for line in lines]
    return lines


class Shell(ProcessProtocol):
    """One `sh` that is typed into."""

    def __init__(self, folder: Path, path: str) -> None:
        self.output = ""
        self.over = False
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        # Bound to the life of these tests, and with it what is started in it.
        argv = guarded(["/bin/sh"])
        processes: Any = reactor
        processes.spawnProcess(self, argv[0], argv, env=environment, path=str(folder))

    def outReceived(self, data: bytes) -> None:
        self.output += data.decode()

    errReceived = outReceived

    def processEnded(self, reason: object) -> None:
        self.over = True

    async def run(self, command: str) -> list[str]:
        """What it answers."""
        self.output = ""
        self.transport.write(f"{command}\necho {END}\n".encode())
        await until(f"{command} ends", lambda: self.output.endswith(f"{END}\n") or self.over)
        return self.output.removesuffix(f"{END}\n").splitlines()

    def close(self) -> None:
        if not self.over:
            self.transport.write(b'kill $(jobs -p) 2>/dev/null; exit\n')


def programs(folder: Path, **commands: list[str]) -> str:
    """A PATH on which these commands come first."""
    folder.mkdir()
    for name, argv in commands.items():
        script = folder / name.replace("_", "-")
        script.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
        script.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=needs_real)])
@pytest_twisted.ensureDeferred
async def test_as_printed(stage: Stage, tmp_path: Path, real: bool) -> None:
    """Every line of the page does what the page says, for redis-cli, for `wmesh instances` and for clients."""
    page = PAGE.read_text()
    places = {port: str(free_port()) for port in PORTS}

    def here(text: str) -> str:
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda match: places[match[1]], text)

    def there(text: str) -> str:
        for printed, actual in places.items():
            text = text.replace(actual, printed)
        return text

    wmesh = [sys.executable, "-c", "import sys; from wmesh.cli import main; sys.exit(main())"]
    commands = {"wmesh": wmesh} if real else {"wmesh": wmesh, "redis_cli": [sys.executable, str(STAND_IN)]}
    path = programs(tmp_path / "bin", **commands)
    (config,) = blocks(page, "ini")
    folder = stage.folder()
    shell = Shell(folder, path)

    def clear() -> None:
        shell.close()
        shutil.rmtree(folder / "scripts", ignore_errors=True)
        for name in ("price.txt", "server.log"):
            (folder / name).unlink(missing_ok=True)

    stage.at_end(clear)
    steps = dialogue(page)
    assert len(steps) > 20
    for terminal, command, printed in steps:
        if terminal == "gateway":
            assert command == "twistd -n wmesh --config mesh.ini"
            gateway = stage.launch(here("\n".join(config)))
            await gateway.says("listening: ")
            continue
        expected = masked(printed)
        seen: list[str] = []

        async def answered(command: str = command, expected: list[str] = expected, seen: list[str] = seen) -> bool:
            seen[:] = masked([there(line) for line in await shell.run(here(command))])
            return seen == expected

        if command.startswith(ASKS_THE_GATEWAY):
            try:
                await until(f"{command} answers as printed", answered, 15.0)
            except AssertionError:
                assert seen == expected
        else:
            await answered()
            assert seen == expected, command
    assert not [line for line in gateway.complaints if "neither command nor instances" not in line]


@needs_real
@pytest_twisted.ensureDeferred
async def test_the_stand_in_is_like_the_real_one(tmp_path: Path) -> None:
    """Each kind of answer, nested and empty, for people and for programs; from a file, from input, and refused."""
    server = Server()
    await server.start()
    script = tmp_path / "script.lua"
    script.write_text("return {KEYS, ARGV, {1, {}, false, {ok = 'OK'}}, redis.call('TIME')[3]}")
    cases: list[tuple[list[str], bytes]] = [
        (["PING"], b""),
        (["ECHO", '\x01\t"\\ü'], b""),
        (["GET", "nothing"], b""),
        (["KEYS", "*"], b""),
        (["RPUSH", "list", *map(str, range(12))], b""),
        (["LRANGE", "list", "0", "-1"], b""),
        (["HGET", "list", "x"], b""),
        (["XADD", "stream", "1-1", *"abcdefghijkl"], b""),
        (["XADD", "stream", "1-2", "a", "b"], b""),
        (["XREAD", "STREAMS", "stream", "0"], b""),
        (["-x", "SET", "key"], b"two\nlines\n"),
        (["GET", "key"], b""),
        (["--eval", str(script), "a", "b", ",", "c", "d e"], b""),
        (["--eval", str(script)], b""),
        (["NONSENSE"], b""),
    ]
    try:
        for words, given in cases:
            for form in ("--raw", "--no-raw"):
                answers = []
                for program in ([str(REAL)], [sys.executable, str(STAND_IN)]):
                    await server.ask("DEL", "list", "stream")
                    await server.ask("RPUSH", "list", *range(12))
                    await server.ask("XADD", "stream", "0-1", *"abcdefghijklmnopqrstuv")
                    argv = [*program, "-s", server.socket, form, *words]
                    done = subprocess.run(argv, input=given, capture_output=True, check=False, timeout=10)
                    answers.append((done.returncode, done.stdout, done.stderr))
                assert answers[0] == answers[1], (words, form)
    finally:
        await server.remove()
