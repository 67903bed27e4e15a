"""`wmesh check`, as an operator uses it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli import main

ROOT = Path(__file__).parents[2]
STATIC = "[gateway]\nlisten = tcp:9000\n[registry]\nurl = memory:\n[service:x]\ninstances = h:1\nroutes = /\n"


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        # The variables that override the file are those of whoever runs the tests: none of them may count here.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.patch(os, "environ", {"PATH": os.environ.get("PATH", "")})

    def wmesh(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
        return status, out.getvalue(), err.getvalue()

    def file(self, text: str) -> str:
        path = Path(self.folder) / "mesh.ini"
        path.write_text(text)
        return str(path)

    def test_a_good_file(self) -> None:
        """A good file is summed up: services, routes, listeners, notes."""
        status, out, err = self.wmesh("check", str(ROOT / "etc" / "mesh.ini"))
        self.assertEqual((status, err), (0, ""))
        for words in ("good", "tcp:8000", "embedded:", "walmart-pricing", "/walmart-pricing/", "1 to 3", "note: "):
            self.assertIn(words, out)

    def test_all_problems_one_a_line(self) -> None:
        """Each problem is one line that an editor can jump to; nothing goes to standard output."""
        path = self.file("[mesh]\nlog_level = loud\n[service:x]\nstrategey = y\nport = \x1b\n")
        status, out, err = self.wmesh("check", path)
        self.assertEqual((status, out), (1, ""))
        lines = err.splitlines()
        self.assertEqual([line.removeprefix(path).split(":")[1] for line in lines], ["2", "3", "4", "5"])

    def test_the_environment_counts(self) -> None:
        """What a start would take from the environment is checked and told, without a password."""
        os.environ.update(LOG_LEVEL="debug", REDIS_HOST="redis.internal", REDIS_PASSWORD="hunter2")
        status, out, _ = self.wmesh("check", self.file(STATIC))
        self.assertEqual(status, 0)
        self.assertIn("LOG_LEVEL in the environment", out)
        self.assertIn("redis://redis.internal:6379/0", out)
        self.assertNotIn("hunter2", out)
        os.environ["LOG_LEVEL"] = "loud"
        status, _, err = self.wmesh("check", self.file(STATIC))
        self.assertEqual(status, 1)
        self.assertTrue(err.startswith("environment: LOG_LEVEL: "))

    def test_a_missing_file(self) -> None:
        """A wrong path is a problem like any other."""
        status, _, err = self.wmesh("check", "/nowhere/mesh.ini")
        self.assertEqual((status, err), (1, "/nowhere/mesh.ini: cannot be read: No such file or directory\n"))

    def test_sources_of_instances(self) -> None:
        """The summary says where each service's instances come from, and that the admin side is off."""
        text = "[gateway]\nadmin_listen =\n[registry]\nurl = redis://h\n[service:a]\nport = 1\ncommand = x\n"
        status, out, _ = self.wmesh("check", self.file(text + "[service:b]\nproxy_enabled = no\n"))
        self.assertEqual(status, 0)
        for words in ("1 launched", "from the registry", "no route", "off"):
            self.assertIn(words, out)

    def test_called_wrongly(self) -> None:
        """A missing or unknown command, or no file, is told with the usage."""
        for arguments in ((), ("check",), ("chekc", "x"), ("check", "x", "y")):
            status, _, err = self.wmesh(*arguments)
            self.assertEqual(status, 2)
            self.assertIn("usage: wmesh", err)

    def test_help_and_version(self) -> None:
        """Both are answered with success."""
        self.assertEqual(self.wmesh("--help")[0], 0)
        self.assertTrue(self.wmesh("--version")[1].startswith("wmesh "))

    def test_nothing_is_loaded_that_is_not_needed(self) -> None:
        """Checking loads no Twisted, so it is quick and safe anywhere."""
        program = (
            "import sys; from wmesh.cli import main; status = main(['check', 'etc/mesh.ini']);"
            "sys.exit(status or bool({'twisted', 'asyncio'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env={}, capture_output=True, timeout=60, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""))
