"""What the tests of the data plane share: a plane on real sockets, raw clients, and raw instances that act by script.

Nothing here knows more of HTTP than it must to take messages apart, and it does that on its own, without `wmesh.wire`:
what the gateway sends is judged by somebody else. A `Conversation` is either end of a connection; an `Instance` is a
listener whose every connection runs a script, a coroutine that reads and sends. `Scene` owns them all and sees to it
that a test leaves nothing behind: no connection, no ticket, no deadline, no descriptor.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from tests.cluster.samples import FirstUntried
from wmesh.cluster.cluster import Cluster
from wmesh.cluster.directory import Directory
from wmesh.events import InstancesReset
from wmesh.metrics.traffic import Traffic
from wmesh.model import Address, CheckSpec, GatewaySpec, InstanceRecord, RouteSpec, ServiceSpec
from wmesh.proxy.cache.caches import Caches
from wmesh.proxy.listener import is_secure, listen
from wmesh.proxy.plan import compile_routes
from wmesh.proxy.plane import DataPlane
from wmesh.proxy.pool import Dial
from wmesh.proxy.transport import Stream
from wmesh.wire.forwarded import Peers

PATIENCE = 8.0
"""Seconds after which what a test waits for will not come any more."""

LINGER_NOW = struct.pack("ii", 1, 0)


class Ended(Exception):
    """The other side ended before what was waited for had come. The text is how: "fin" or "reset"."""


class Message:
    """One HTTP message as it came. `fields` are (name, value) as spelled; `pieces` the chunks, if it came in chunks."""

    def __init__(self, head: bytes) -> None:
        self.raw = head
        lines = head[:-4].split(b"\r\n")
        self.start = lines[0]
        self.fields = [_field(line) for line in lines[1:]]
        self.body = b""
        self.pieces: list[bytes] | None = None
        self.trailers: list[tuple[bytes, bytes]] = []

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    @property
    def method(self) -> bytes:
        return self.start.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.start.split(b" ")[1]

    def values(self, name: bytes) -> list[bytes]:
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def value(self, name: bytes) -> bytes | None:
        """The value of a field that may come once at most."""
        values = self.values(name)
        assert len(values) < 2, (name, values)
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<Message {self.start!r} {self.fields!r} {self.body[:80]!r}>"


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    assert colon, line
    return name, value.strip(b" \t")


@implementer(IHalfCloseableProtocol)
class Conversation(Protocol):
    """One end of a connection. `end` is "" while it lives, then "fin", "reset" or "closed" (by this end).

    `received` is what nobody has read yet, `tail` the last thousand bytes that came, read or not.
    With `closes`, the other side's FIN is answered with one at once, as most programs do.
    """

    def __init__(self, instance: Instance | None = None) -> None:
        self.instance = instance
        self.received = bytearray()
        self.tail = b""
        self.end = ""
        self.gone = False
        self.closes = True
        self._news: list[Deferred[None]] = []

    # --- Twisted's side

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True) if hasattr(self.transport, "setTcpNoDelay") else None
        self._tell()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.tail = (self.tail + data)[-1000:]
        self._tell()

    def readConnectionLost(self) -> None:
        self.end = self.end or "fin"
        self._tell()
        if self.closes:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our own FIN is out."""

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        if not self.end:
            self.end = "closed" if reason.check(ConnectionDone) else "reset"
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, []
        for waiting in news:
            waiting.callback(None)

    # --- what tests do with it

    def send(self, *pieces: bytes) -> None:
        self.transport.write(b"".join(pieces))

    def send_now(self, *pieces: bytes) -> None:
        """Send before this returns: a reset that follows comes behind it. For what fits into the kernel's buffer."""
        data = b"".join(pieces)
        assert self.transport.getHandle().send(data) == len(data)

    def close(self) -> None:
        self.transport.loseConnection()

    def half_close(self) -> None:
        """Say that no more will come, and go on listening."""
        self.transport.loseWriteConnection()

    def reset(self) -> None:
        """End with a RST."""
        self.end = self.end or "closed"
        if not self.gone:
            transport: Any = self.transport
            while isinstance(transport, TLSMemoryBIOProtocol):
                transport = transport.transport
            transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
            transport.abortConnection()

    def pause(self) -> None:
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.transport.resumeProducing()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that this conversation brings."""
        from twisted.internet import reactor

        while not condition():
            if self.end:
                raise Ended(self.end)
            waiting: Deferred[None] = Deferred()
            if self.instance is None:  # an instance may wait for its next request as long as it likes
                waiting.addTimeout(PATIENCE, reactor)
            self._news.append(waiting)
            await waiting

    async def exactly(self, size: int) -> bytes:
        await self.until(lambda: len(self.received) >= size)
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    async def up_to(self, mark: bytes) -> bytes:
        """All up to this mark and the mark itself."""
        await self.until(lambda: mark in self.received)
        return await self.exactly(self.received.index(mark) + len(mark))

    async def message(self, bodyless: bool = False) -> Message:
        """The next message, whole. `bodyless`: it answers a HEAD."""
        message = Message(await self.up_to(b"\r\n\r\n"))
        status = message.status if message.start.startswith(b"HTTP/") else 0
        if bodyless or 100 <= status < 200 or status in (204, 304):
            return message
        coding, length = message.value(b"Transfer-Encoding"), message.value(b"Content-Length")
        if coding is not None:
            assert coding == b"chunked" and length is None, message
            await self._chunks(message)
        elif length is not None:
            message.body = await self.exactly(int(length))
        elif status:
            with contextlib.suppress(Ended):
                await self.until(lambda: False)
            if self.end != "fin":
                raise Ended(self.end)
            message.body = bytes(self.received)
            self.received.clear()
        return message

    async def _chunks(self, message: Message) -> None:
        message.pieces = []
        while True:
            size = int((await self.up_to(b"\r\n"))[:-2], 16)
            if not size:
                break
            message.pieces.append(await self.exactly(size))
            assert await self.exactly(2) == b"\r\n"
        message.body = b"".join(message.pieces)
        while (line := await self.up_to(b"\r\n")) != b"\r\n":
            message.trailers.append(_field(line[:-2]))

    async def answer(self, bodyless: bool = False) -> Message:
        """The next final answer, whole."""
        message = await self.message(bodyless)
        while message.status < 200:
            message = await self.message(bodyless)
        return message

    async def ended(self) -> str:
        """Wait for the end; answers how it came."""
        with contextlib.suppress(Ended):
            await self.until(lambda: False)
        return self.end

    async def lost(self) -> None:
        """Wait until nothing is left of it."""
        from twisted.internet import reactor

        while not self.gone:
            waiting: Deferred[None] = Deferred()
            waiting.addTimeout(PATIENCE, reactor)
            self._news.append(waiting)
            await waiting


Script = Callable[[Conversation], Coroutine[Any, Any, None]]


class Instance:
    """A listener on loopback. `requests` are those that its scripts read with `take`, over all its connections."""

    def __init__(self, reactor: Any, script: Script, port: int = 0, tls: Any = None) -> None:
        """`tls` are Twisted's options for a server, or a connection creator for one."""
        self.script = script
        self.conversations: list[Conversation] = []
        self.requests: list[Message] = []
        self.failures: list[Failure] = []
        self.running: set[Deferred[None]] = set()
        factory: Any = Factory.forProtocol(lambda: Conversation(self))
        factory.noisy = False
        build = factory.buildProtocol

        def build_protocol(address: Any) -> Conversation:
            conversation = build(address)
            self.conversations.append(conversation)
            conversation.connectionMade = lambda: self._begin(conversation)
            return conversation

        factory.buildProtocol = build_protocol
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, factory)
        self._port = reactor.listenTCP(port, factory, interface="127.0.0.1")
        self.address = Address("127.0.0.1", self._port.getHost().port)

    def _begin(self, conversation: Conversation) -> None:
        conversation.transport.setTcpNoDelay(True)
        running = Deferred.fromCoroutine(self.script(conversation))
        running.addErrback(lambda failure: failure.trap(Ended) and None)
        running.addErrback(self.failures.append)
        self.running.add(running)
        running.addCallback(lambda _: self.running.discard(running))

    @property
    def open(self) -> list[Conversation]:
        return [conversation for conversation in self.conversations if not conversation.gone]

    def stop(self) -> Deferred[Any]:
        """Close the listener; connections stay."""
        return maybeDeferred(self._port.stopListening)


async def take(conversation: Conversation) -> Message:
    """The next request on an instance's connection."""
    message = await conversation.message()
    assert conversation.instance is not None
    conversation.instance.requests.append(message)
    return message


def response(body: bytes = b"ok", start: bytes = b"200 OK", *fields: bytes) -> bytes:
    """An answer with a length."""
    lines = b"".join(b"%b\r\n" % field for field in fields)
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (start, len(body), lines, body)


def request(method: bytes = b"GET", target: bytes = b"/", *fields: bytes, body: bytes | None = None) -> bytes:
    """An HTTP/1.1 request; with a body, one with a length."""
    if body is not None:
        fields = (*fields, b"Content-Length: %d" % len(body))
    lines = b"".join(b"%b\r\n" % field for field in fields)
    return b"%b %b HTTP/1.1\r\nHost: shop.test\r\n%b\r\n%b" % (method, target, lines, body or b"")


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body. `trailers` are whole lines."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n%b\r\n" % trailers


async def polite(conversation: Conversation) -> None:
    """Answers every request with its target, in the order they come."""
    while True:
        message = await take(conversation)
        conversation.send(response(message.target))


def says(*pieces: bytes, close: bool = False, reset: bool = False) -> Script:
    """A script that answers each request with these bytes."""

    async def script(conversation: Conversation) -> None:
        while True:
            await take(conversation)
            if reset:
                conversation.send_now(*pieces)
                conversation.reset()
                return
            conversation.send(*pieces)
            if close:
                conversation.close()

    return script


async def silent(conversation: Conversation) -> None:
    """Reads requests and says nothing."""
    while True:
        await take(conversation)


class Scene(TestCase):
    """A test of the whole data plane. `open` makes it; all that it made is taken down, and checked, at the end."""

    timeout = 20

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.instances: list[Instance] = []
        self.clients: list[Conversation] = []
        self.ports: list[Any] = []
        self.plane: DataPlane
        self.directory: Directory
        self.traffic: dict[str, Traffic] = {}
        self._opened = False
        self.addCleanup(self._take_down)

    # --- making

    def instance(self, script: Script = polite, port: int = 0, tls: Any = None) -> Instance:
        made = Instance(self.reactor, script, port, tls)
        self.instances.append(made)
        return made

    def directory(self) -> str:
        """A directory for this test alone."""
        made = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, made)
        return made

    async def nobody(self) -> Address:
        """An address of this machine where nobody listens."""
        instance = Instance(self.reactor, silent)
        await instance.stop()
        return instance.address

    async def open(
        self,
        *instances: Instance | Address,
        listen: str = "tcp:0:interface=127.0.0.1",
        gateway: dict[str, Any] | None = None,
        others: tuple[ServiceSpec, ...] = (),
        **service: Any,
    ) -> None:
        """A plane with the service "shop", its instances tried in the order in which they are given here."""
        values = {"routes": (RouteSpec("", "/"),), "strip_prefix": False, **service}
        spec = ServiceSpec("shop", check=CheckSpec(enabled=False), **values)
        records = tuple(
            InstanceRecord("shop", f"shop-{number}", getattr(instance, "address", instance), origin="static")
            for number, instance in enumerate(instances)
        )
        self.build((spec, *others), records, GatewaySpec(**(gateway or {})))
        await self.listen(listen)

    def build(self, specs: tuple[ServiceSpec, ...], records: tuple[InstanceRecord, ...], gateway: GatewaySpec) -> None:
        clock = time.monotonic
        self.directory = Directory(specs, lambda spec: FirstUntried(), clock)
        self.traffic = {spec.name: Traffic() for spec in specs}
        self.caches = Caches(specs, gateway.cache_size, "wmesh").by_service
        router = compile_routes(specs, self.directory.clusters, self.traffic, caches=self.caches)
        self.plane = DataPlane(gateway, router, self.reactor, clock, Random(1))
        self.directory.subscribe(self.plane.heard)
        self.directory.apply(InstancesReset("static", records))
        # Sweeps come when a test says so; the Date field is set by the first.
        self.plane.start()
        self.plane.deadlines.stop()
        self._opened = True

    async def listen(self, description: str) -> Any:
        """One more listener; answers its port."""
        spec = self.plane.spec
        peers = Peers(spec.trusted_proxies, b"https" if is_secure(description) else b"http", spec.forwarded_header)
        port: Any = await listen(self.plane, description, peers)
        self.ports.append(port)
        return port

    async def client(self, window: int = 0) -> Conversation:
        """A connection to the first listener. `window` bounds what the kernel takes in for a client that pauses."""
        host = self.ports[0].getHost()
        sock = socket.socket()
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((host.host, host.port))
        return self.adopt(sock)

    def adopt(self, sock: socket.socket) -> Conversation:
        """A connected socket as a client."""
        sock.setblocking(False)
        conversation = Conversation()
        factory: Any = ClientFactory.forProtocol(lambda: conversation)
        self.reactor.adoptStreamConnection(sock.fileno(), sock.family, factory)
        sock.close()
        self.clients.append(conversation)
        return conversation

    async def ask(self, data: bytes, bodyless: bool = False) -> Message:
        """One request on a connection of its own."""
        client = await self.client()
        client.send(data)
        answer = await client.answer(bodyless)
        client.close()
        return answer

    # --- looking

    @property
    def cluster(self) -> Cluster:
        return self.directory.clusters["shop"]

    def idle(self) -> int:
        """Connections to instances that are kept for later."""
        return sum(len(pool.idle) for pool in self.plane.pools.values())

    def streams(self) -> list[Stream]:
        return [entry for entry in self.plane.poller._table.values() if isinstance(entry, Stream)]

    def unsent(self) -> int:
        """Bytes that the gateway holds for anybody."""
        return sum(stream.unsent for stream in self.streams())

    def sweep(self, later: float = 0.0) -> None:
        """What the deadlines would do at this time from now on."""
        now = self.plane.clock() + later
        for swept in list(self.plane.deadlines.watched()):
            swept.sweep(now)

    def overdue(self, later: float) -> None:
        """Two sweeps: one that sees what is waited for, and one after so many seconds."""
        self.sweep()
        self.sweep(later)

    async def turn(self, count: int = 1) -> None:
        """Let the reactor go round."""
        for _ in range(count):
            await deferLater(self.reactor, 0)

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait for something that happens inside the gateway."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"it never came about: {what or condition}")
            await deferLater(self.reactor, 0.001)

    async def stands_still(self) -> int:
        """Wait until the gateway holds its source back; answers the most that it then holds."""
        await self.until(lambda: any(not stream._reading for stream in self.streams()) and self.unsent())
        most = 0
        for _ in range(30):
            await self.turn()
            most = max(most, self.unsent())
        return most

    async def at_rest(self) -> None:
        """No request is under way."""
        await self.until(lambda: not self.cluster.in_flight, "no request in flight")

    # --- taking down

    async def _take_down(self) -> None:
        for client in self.clients:
            if not client.gone:
                client.reset()
        for instance in self.instances:
            for conversation in instance.open:
                conversation.reset()
        stopping: list[Awaitable[Any]] = [instance.stop() for instance in self.instances]
        stopping += [maybeDeferred(port.stopListening) for port in self.ports]
        await DeferredList(stopping, consumeErrors=False)  # type: ignore[arg-type]
        for conversation in (*self.clients, *(c for instance in self.instances for c in instance.conversations)):
            await conversation.lost()
        await self.until(lambda: not any(instance.running for instance in self.instances), "all scripts have ended")
        if self._opened:
            await self._stop_plane()
        for instance in self.instances:
            for failure in instance.failures:
                failure.raiseException()

    async def _stop_plane(self) -> None:
        plane = self.plane
        watched = plane.deadlines.watched
        await self.until(lambda: all(isinstance(swept, Dial) for swept in watched()), "no deadline is left")
        plane.stop()
        await self.turn(2)
        self.assertEqual(len(plane.connections), 0, "connections of clients are left")
        self.assertEqual(plane.poller._table, {}, "descriptors are left")
        for cluster in self.directory.clusters.values():
            self.assertEqual(cluster.in_flight, 0, "a ticket was not given back")
            self.assertEqual([member.in_flight for member in cluster.members.values() if member.in_flight], [])


def spec_of(name: str, prefix: str, **changes: Any) -> ServiceSpec:
    """One more service."""
    plain = ServiceSpec(name, check=CheckSpec(enabled=False), routes=(RouteSpec("", prefix),))
    return replace(plain, **changes)
