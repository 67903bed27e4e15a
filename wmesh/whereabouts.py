"""Where this process is: the ports that it takes, the addresses it is reached at, its name among others; in words.

What the gateway needs round its start, and has no state of its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from twisted.internet.error import CannotListenError

from wmesh.model import MeshConfig
from wmesh.proxy.listener import is_secure


def urls_of(listen: Sequence[str], ports: Sequence[Any]) -> list[str]:
    """Where people reach what listens: one URL for each TCP listener; others as they are configured."""
    urls = []
    for description, port in zip(listen, ports, strict=False):
        host = port.getHost()
        if hasattr(host, "port"):
            name = "localhost" if host.host in ("0.0.0.0", "::", "127.0.0.1") else host.host
            scheme = "https" if is_secure(description) else "http"
            urls.append(f"{scheme}://{f'[{name}]' if ':' in name else name}:{host.port}/")
        else:
            urls.append(description)
    return urls


def reachable(host: str) -> str:
    """The address at which this process reaches what listens at `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def ports_of(descriptions: tuple[str, ...]) -> list[int]:
    """The TCP ports that listeners take, which launched instances must not."""
    numbers = (description.split(":")[1] for description in descriptions if description.startswith(("tcp:", "ssl:")))
    return [int(number) for number in numbers if number.isdigit()]


def tail(config: MeshConfig) -> str:
    """Ends the ids of what this gateway launches, where other gateways may see them: this machine and state_dir."""
    if config.registry.url.startswith(("memory:", "embedded:")):
        return ""
    place = f"{socket.gethostname()}:{os.path.abspath(config.mesh.state_dir)}"
    return f"-{crc32(place.encode()):08x}"


def registry_line(status: Any) -> str:
    where = f" at {status['url']}" if status.get("url") and status["url"] != f"{status['kind']}:" else ""
    state = "" if status.get("connected") else ", not reached yet"
    return f"{status['kind']}{where}, {status.get('instances', 0)} instances known{state}"


def cannot_listen(problem: CannotListenError) -> str:
    where = f"{problem.interface or '*'}:{problem.port}"
    reason = getattr(problem.socketError, "strerror", None) or problem.socketError
    return f"cannot listen at {where}: {reason}; is another gateway running?"
