"""`twistd wmesh`: options, and what becomes of a bad configuration."""

from __future__ import annotations

import contextlib
import gc
import io
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from wmesh import tap
from wmesh.tap import Options, makeService


class OptionsTests(SynchronousTestCase):
    def test_the_file_to_read(self) -> None:
        """The example mesh is what runs when nothing is said; --config and -c name another file."""
        for argv, expected in (
            ([], "etc/mesh.ini"),
            (["--config", "shop.ini"], "shop.ini"),
            (["-c", "shop.ini"], "shop.ini"),
        ):
            options = Options()
            options.parseOptions(argv)
            self.assertEqual(options["config"], expected)


class MemoryTests(SynchronousTestCase):
    def test_what_stays_is_spared(self) -> None:
        """Once it is ready, the collector does not look through everything again and again; before, nothing is kept."""
        path = Path(self.mktemp())
        path.write_text("[gateway]\nlisten = tcp:8000\n")
        options = Options()
        options.parseOptions(["--config", str(path)])
        frozen: list[bool] = []
        self.patch(tap.gc, "freeze", lambda: frozen.append(True))
        before = gc.get_threshold()
        self.addCleanup(gc.set_threshold, *before)
        gateway = makeService(options, MemoryReactorClock())
        self.assertEqual((frozen, gc.get_threshold()), ([], before))
        gateway.ready.callback(None)
        self.assertEqual((frozen, gc.get_threshold()), ([True], (*before[:2], 100)))


class BadConfigurationTests(SynchronousTestCase):
    def complaints(self, text: str) -> tuple[object, list[str]]:
        """(exit status, lines on stderr) of a start with this configuration."""
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        options = Options()
        options.parseOptions(["--config", str(path)])
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            leaving = self.assertRaises(SystemExit, makeService, options)
        return leaving.code, stderr.getvalue().splitlines()

    def test_certificates_that_are_not_there(self) -> None:
        """Stop the start as well, with the line that names them."""
        service = "[service:x]\ninstances = h:1\nprotocol = https\ntls_ca = /nowhere/ca.pem\n"
        code, lines = self.complaints(f"[registry]\nurl = memory:\n{service}")
        self.assertEqual((code, len(lines)), (1, 1))
        self.assertIn(":6: [service:x] tls_ca: /nowhere/ca.pem: No such file", lines[0])

    def test_every_problem_is_printed(self) -> None:
        """A bad file never starts a gateway: all that is wrong with it goes to stderr, and the status is 1."""
        code, lines = self.complaints("[gateway]\nlisten = tcp:http\n[service:x]\nstrategey = random\n")
        self.assertEqual(code, 1)
        self.assertTrue(any("is not a port" in line for line in lines), lines)
        self.assertTrue(any("load_balancing_strategy" in line for line in lines), lines)

    def test_a_secret_that_cannot_be_kept(self) -> None:
        """Sticky sessions need a file of their own: where it cannot be written that is said, without a traceback."""
        text = "[mesh]\nstate_dir = /proc/nowhere\n[registry]\nurl = memory:\n[service:x]\ninstances = h:80\n"
        code, lines = self.complaints(f"{text}sticky_sessions = yes\n")
        self.assertEqual((code, len(lines)), (1, 1), lines)
        self.assertIn("/proc/nowhere/sticky.key", lines[0])
        self.assertIn("give [gateway] sticky_secret", lines[0])

    def test_a_missing_file(self) -> None:
        """A file that is not there is named."""
        options = Options()
        options.parseOptions(["--config", "/nowhere/mesh.ini"])
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            leaving = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual(leaving.code, 1)
        self.assertIn("/nowhere/mesh.ini", stderr.getvalue())
        self.assertNotIn("Traceback", stderr.getvalue())
