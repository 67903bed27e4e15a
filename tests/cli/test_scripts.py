"""`wmesh scripts`: what it hands out is what gateways run."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli import main
from wmesh.control.registry import scripts


class ScriptsTests(SynchronousTestCase):
    def wmesh(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["scripts", *arguments])
        return status, out.getvalue(), err.getvalue()

    def test_list(self) -> None:
        """Every script, with the name by which a server knows it."""
        status, out, _ = self.wmesh()
        listed = dict(line.split() for line in out.splitlines())
        self.assertEqual((status, listed), (0, {script.name: script.sha.decode() for script in scripts.ALL}))

    def test_one(self) -> None:
        """The whole text, and nothing else."""
        status, out, _ = self.wmesh("register")
        self.assertEqual((status, out.encode()), (0, scripts.REGISTER.text))

    def test_directory(self) -> None:
        """A file each, in a directory that is made if need be; those that are named, or all."""
        folder = Path(self.mktemp()) / "deep"
        self.assertEqual(self.wmesh("renew", "loads", "--directory", str(folder))[0], 0)
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["loads.lua", "renew.lua"])
        status, out, _ = self.wmesh("--directory", str(folder))
        self.assertEqual((status, len(out.splitlines())), (0, len(scripts.ALL)))
        for script in scripts.ALL:
            data = (folder / f"{script.name}.lua").read_bytes()
            self.assertEqual(hashlib.sha1(data, usedforsecurity=False).hexdigest().encode(), script.sha)

    def test_called_wrongly(self) -> None:
        """An unknown name, two to one output, a directory that cannot be."""
        self.assertEqual(self.wmesh("regster")[0], 2)
        self.assertEqual(self.wmesh("register", "renew")[0], 2)
        status, out, err = self.wmesh("register", "--directory", "/dev/null/x")
        self.assertEqual((status, out, err), (1, "", "wmesh: /dev/null/x: Not a directory\n"))
