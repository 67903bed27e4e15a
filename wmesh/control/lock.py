"""A state directory belongs to one gateway at a time, by a lock that the kernel takes back whatever its holder does."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from wmesh.errors import MeshError


class Lock:
    """An flock on a file of its own, which is there only while the lock is held."""

    def __init__(self, path: Path, error: type[MeshError]) -> None:
        """`error` is what `take` fails with where another process holds the lock."""
        self._path = path
        self._error = error
        self._held: int | None = None

    def take(self) -> None:
        """Hold it from now on. Fails with OSError where the file cannot be made."""
        while self._held is None:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The one before us may have removed the file between our open and our lock: then we hold nothing.
                if os.fstat(lock).st_ino == os.stat(self._path).st_ino:
                    self._held = lock
                    return
            except FileNotFoundError:
                pass
            except OSError as error:
                os.close(lock)
                if error.errno in (errno.EAGAIN, errno.EACCES):
                    where = self._path.parent
                    raise self._error(
                        f"{where} is in use by another gateway; give each its own [mesh] state_dir"
                    ) from None
                raise
            os.close(lock)

    def release(self) -> None:
        """Give it back. Twice is no error."""
        held, self._held = self._held, None
        if held is not None:
            # Removed before it is released; `take` copes with those who opened it just before.
            self._path.unlink(missing_ok=True)
            os.close(held)

    @property
    def held(self) -> bool:
        return self._held is not None
