"""Ports for those who must be told theirs, and for places where nobody must listen."""

from __future__ import annotations

import random
import socket

PLACES = range(20000, 32000)
"""Below the range from which the kernel takes ports for outgoing connections, so that none of those is in the way."""

_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens at, and that was not given away before."""
    while True:
        port = random.choice(PLACES)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
