"""`wmesh register`: its arguments, and what is refused before anything is run."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.cli import main


class CallTests(SynchronousTestCase):
    """What is refused before anything is run."""

    def wmesh(self, *arguments: str) -> tuple[int, str]:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            status = main(["register", "--service", "pricing", *arguments, "--", "true"])
        return status, err.getvalue()

    def test_where_is_the_registry(self) -> None:
        """Those that no other program can join are refused, with the way that there is."""
        self.patch(os, "environ", {})
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "mesh.ini"
        text = "[mesh]\nstate_dir = /srv/x\n[registry]\nurl = embedded:\n[service:pricing]\n"
        path.write_text(text)
        table = [
            ((), "Give --registry URL"),
            (("--registry", "memory:"), "no other program can join"),
            (("--registry", "embedded:"), "use unix:/absolute"),
            (("--config", str(path)), "--registry unix:/srv/x/registry.sock"),
            (("--config", "/no/mesh.ini"), "cannot be read"),
            (("--registry", "http://x"), "must begin with"),
            (("--registry", "redis+sentinel://x,y"), "names no master"),
        ]
        for arguments, words in table:
            status, text = self.wmesh("--port", "3007", *arguments)
            self.assertEqual(status, 1)
            self.assertIn(words, text)
        twice = ("--registry", "redis://x", "--port", "3007", "--metadata", "a=1", "--metadata", "a=2")
        self.assertIn("given twice", self.wmesh(*twice)[1])
        self.assertIn("Give --port", self.wmesh("--registry", "redis://x")[1])

    def test_called_wrongly(self) -> None:
        """2, as of every command."""
        for arguments in (("--port", "99999"), ("--metadata", "x"), ("--weight", "much"), ("--loud",)):
            self.assertEqual(self.wmesh(*arguments)[0], 2)
