"""Files of the state directory that are replaced as a whole: at every moment there is the old one or the new one.

Strategy: written beside, then renamed. They are readable by their owner only: secrets, metadata of instances and the
words of operators are nobody else's business. What stands in them is for who keeps them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """The file holds `data` from now on; without any there is none. Fails with OSError, and then it is as it was."""
    if not data:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # it may have been left by a start that was killed
            file.write(data)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
