"""What Python spends on one whole exchange: from the client's bytes read to the answer's last byte written.

The sockets are not there: they take what is sent, and have ready what is to be read. So this is all of the hot path but
the kernel and the poller, and it shows a difference of a tenth of a microsecond that a benchmark over real sockets
drowns. `repeated` sends the same request again and again, `varied` never the same.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any, cast

from bench.micro.timing import Timing
from wmesh.balance import STRATEGIES
from wmesh.cluster.directory import Directory
from wmesh.events import InstancesReset
from wmesh.metrics.traffic import Traffic
from wmesh.model import Address, CheckSpec, GatewaySpec, InstanceRecord, RouteSpec, ServiceSpec
from wmesh.proxy.downstream import Downstream
from wmesh.proxy.plan import compile_routes
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.poller import Poller
from wmesh.proxy.pool import pool_of
from wmesh.proxy.transport import Stream
from wmesh.proxy.upstream import Upstream
from wmesh.wire.forwarded import Peers

REQUEST = (
    b"GET /api/price/%b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nReferer: https://shop.example/\r\nCookie: session=%b; theme=light\r\n"
    b"Cache-Control: no-cache\r\nSec-Fetch-Mode: navigate\r\nX-Trace: %b\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 03 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n" + b"x" * 1024
)


class NoSocket:
    """Takes everything that is sent at once; has nothing of its own to say."""

    def __init__(self) -> None:
        self.recv: Callable[[int], bytes] = lambda size: b""
        self.send: Callable[[bytes], int] = len

    def fileno(self) -> int:
        return 0


class NoPoller:
    """Nothing has to be watched: the timing loop says itself what is ready."""

    def watch(self, pollable: object, fd: int) -> None:
        """See above."""


def exchange(requests: Iterable[bytes]) -> Callable[[], None]:
    """A function that has the next of those requests answered."""
    spec = ServiceSpec(name="shop", check=CheckSpec(enabled=False), routes=(RouteSpec("", "/"),))
    chance = Random(1)
    fleet = Directory([spec], lambda spec: STRATEGIES[spec.strategy](spec, chance), time.monotonic)
    records = (InstanceRecord("shop", f"shop-{number}", Address("127.0.0.1", 9000 + number)) for number in range(3))
    fleet.apply(InstancesReset("registry", tuple(records)))
    cluster = fleet.clusters["shop"]
    router = compile_routes((spec,), fleet.clusters, {"shop": Traffic()})
    plane = DataPlane(GatewaySpec(), router, None, time.monotonic, chance)
    poller = cast(Poller, NoPoller())
    peers = Peers((), b"http", False)
    ends = []
    for member in cluster.members.values():
        pool = pool_of(plane, member, spec)
        stream = _stream(poller, False, itertools.repeat(ANSWER))
        conn = Upstream(pool)
        stream.start(conn)
        pool.give_back(conn, 0.0)
        ends.append((conn, stream))
    client = _stream(poller, True, requests)
    client.start(Downstream(plane, peers, peers("127.0.0.1")))

    def answer_one() -> None:
        client.doRead()
        for conn, stream in ends:
            if conn.exchange is not None:
                stream.doRead()
                return
        raise AssertionError("the request came to nobody")

    answer_one()
    return answer_one


def _stream(poller: Poller, server_side: bool, messages: Iterable[bytes]) -> Stream:
    sock = NoSocket()
    following: Any = iter(messages).__next__
    sock.recv = lambda size: following()
    return Stream(cast(socket.socket, sock), poller, ("127.0.0.1", 1), server_side)


def _repeated() -> Iterator[bytes]:
    """The same request, in bytes of its own each time, as a socket gives them."""
    numbers = (b"12345", b"a" * 16, b"b" * 16)
    while True:
        yield REQUEST % numbers


def _varied() -> Iterator[bytes]:
    for number in itertools.count():
        word = b"%016x" % number
        yield REQUEST % (word, word, word)


def timings() -> Iterator[Timing]:
    yield Timing("a small GET, repeated", "exchange()", {"exchange": exchange(_repeated())})
    yield Timing("a small GET, varied", "exchange()", {"exchange": exchange(_varied())})
    yield Timing("of that, making the request", "next(requests)", {"requests": _varied()})
