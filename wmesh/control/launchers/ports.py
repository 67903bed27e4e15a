"""Which port a launched instance gets: the declared one if it is free, else the next that is.

Strategy: ask the kernel, by binding. The answer is true only at that moment, so what this process has given out
already is kept apart by the caller (`used`), as are the ports that the configuration promises to others.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Container

from wmesh.errors import LaunchError
from wmesh.model import ServiceSpec

HIGHEST = 65535


def is_free(host: str, port: int) -> bool:
    """Could a server listen there now? Port 0 asks whether the host is ours at all."""
    return _bind(host, port) is not None


def allocate_port(spec: ServiceSpec, used: Container[int], free: Callable[[str, int], bool] = is_free) -> int:
    """The first port from `spec.port` upwards that is not in `used` and free on `spec.host`; any free one if none is
    declared. Fails with LaunchError when there is none.
    """
    if spec.port is None:
        return _any_port(spec.host, used)
    for port in range(spec.port, HIGHEST + 1):
        if port not in used and free(spec.host, port):
            return port
        if port == spec.port and not free(spec.host, 0):
            raise LaunchError(f"cannot listen on {spec.host}: it is no address of this machine")
    raise LaunchError(f"no port from {spec.port} to {HIGHEST} is free on {spec.host}")


def _any_port(host: str, used: Container[int]) -> int:
    for _ in range(100):
        port = _bind(host, 0)
        if port is None:
            raise LaunchError(f"cannot listen on {host}: it is no address of this machine")
        if port not in used:
            return port
    raise LaunchError(f"no port is free on {host}")


def _bind(host: str, port: int) -> int | None:
    """The port bound and given back at once; None if it cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as candidate:
        # As servers do: what is merely in TIME_WAIT is free.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return None
        return int(candidate.getsockname()[1])
