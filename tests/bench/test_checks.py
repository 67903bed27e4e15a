"""The benchmark of health checks runs, on a small fleet."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase


class SmallFleetTests(SynchronousTestCase):
    def test_it_counts(self) -> None:
        """Every instance is found healthy, and every check of the rounds is counted."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        argv = [sys.executable, "-m", "bench.checks", "--instances", "20", "--interval", "0.5", "--rounds", "4"]
        done = subprocess.run([*argv, "--port", str(port)], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("20 healthy", done.stdout)
        found = re.search(r"(\d+) checks in .* s, 0 failed", done.stdout)
        assert found is not None, done.stdout
        self.assertGreater(int(found[1]), 20)

    def test_called_wrongly(self) -> None:
        """A fleet of none is no fleet."""
        argv = [sys.executable, "-m", "bench.checks", "--instances", "0"]
        self.assertEqual(subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode, 2)
