"""The `wmesh` command itself: the choice between its subcommands."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli import main

ROOT = Path(__file__).parents[2]


class MainTests(SynchronousTestCase):
    def wmesh(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
        return status, out.getvalue(), err.getvalue()

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

    def test_whoever_reads_us_has_seen_enough(self) -> None:
        """`wmesh check | head -0`: no traceback, and a status that says that not all was printed."""
        command = [sys.executable, "-c", "import sys; from wmesh.cli import main; sys.exit(main())", "check"]
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [*command, "etc/mesh.ini"], cwd=ROOT, env={}, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
        )
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (1, b""))

    def test_closed_streams(self) -> None:
        """Whoever closed our standard streams gets the status all the same."""
        program = "import sys; from wmesh.cli import main; sys.exit(main(['check', sys.argv[1]]))"
        for path, status in (("etc/mesh.ini", 0), ("etc/none.ini", 1)):
            argv = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program, path]
            done = subprocess.run(argv, cwd=ROOT, env={"PATH": os.environ["PATH"]}, timeout=60, check=False)
            self.assertEqual(done.returncode, status, path)
