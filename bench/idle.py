"""What an idle keep-alive connection weighs: memory of the proxy before and after thousands of them.

The proxy is fresh, so that nothing freed by earlier work is filled up again. A first few hundred connections stay open
from the start and are not counted: they pay for what is made once (buffers, pools, upstream connections). Every
connection does one request first, because many proxies allocate on the first byte only. At the end, each must still be
open; a proxy that closes idle clients early would look good otherwise.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import time
from collections.abc import Callable

from bench.cpu import Memory

FIRST = 256
SETTLE_SECONDS = 1.0

REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\n"
    b"Cookie: session=9f2c1e7ab34d4c5e8f60718293a4b5c6; theme=dark; consent=1\r\n\r\n"
)


def open_idle(port: int, path: str) -> socket.socket:
    """Connect, do one request, and leave the connection open."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(REQUEST % (path.encode(), port))
    response = http.client.HTTPResponse(sock)
    response.begin()
    response.read()
    status, closing = response.status, response.will_close
    response.close()
    if status != 200 or closing:
        sock.close()
        raise ConnectionError(f"status {status}, and the connection is {'closed' if closing else 'kept'}")
    return sock


def closed(sockets: list[socket.socket]) -> int:
    """How many of these (all silent) have been closed by the other side."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLIN | select.POLLHUP)
    return len(poll.poll(0))


def weigh(port: int, path: str, count: int, memory: Callable[[], Memory]) -> tuple[Memory, Memory, int]:
    """Memory before and after `count` idle connections, and how many of all were closed meanwhile."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(open_idle(port, path)) for _ in range(FIRST)]
        time.sleep(SETTLE_SECONDS)
        before = memory()
        sockets += [stack.enter_context(open_idle(port, path)) for _ in range(count)]
        time.sleep(SETTLE_SECONDS)
        return before, memory(), closed(sockets)
