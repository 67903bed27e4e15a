"""One gateway to a state directory."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.lock import Lock
from wmesh.errors import LaunchError


class LockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def test_one_at_a_time(self) -> None:
        """The second gateway on a state directory is told so, and what to do about it."""
        first, second = Lock(self.path, LaunchError), Lock(self.path, LaunchError)
        first.take()
        self.addCleanup(first.release)
        problem = self.assertRaises(LaunchError, second.take)
        self.assertIn("state_dir", str(problem))
        self.assertEqual((first.held, second.held), (True, False))

    def test_the_next_one(self) -> None:
        """Once it is given back the next may have it, and no file is left behind."""
        first, second = Lock(self.path, LaunchError), Lock(self.path, LaunchError)
        first.take()
        first.release()
        first.release()
        self.assertFalse(self.path.exists())
        second.take()
        second.release()

    def test_a_file_left_by_a_killed_gateway(self) -> None:
        """A file alone is no lock: the kernel gave it back when its holder died."""
        self.path.write_text("")
        lock = Lock(self.path, LaunchError)
        lock.take()
        self.assertTrue(lock.held)
        lock.release()

    def test_nowhere_to_put_it(self) -> None:
        """A directory that is not there is the caller's problem."""
        self.assertRaises(OSError, Lock(self.path / "missing" / "lock", LaunchError).take)
