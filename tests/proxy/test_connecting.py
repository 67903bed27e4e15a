"""Tests of wmesh.proxy.connecting: a connection in the making is made, refused or given up, and told of once."""

from __future__ import annotations

import errno
import socket

from twisted.internet import error
from twisted.python.failure import Failure

from tests.proxy.streams import Listening, StreamScene
from wmesh.proxy.connecting import Connecting
from wmesh.proxy.transport import Stream


class Maker:
    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.problem: OSError | None = None
        self.count = 0

    def connected(self, stream: Stream) -> None:
        self.stream = stream
        self.count += 1

    def failed(self, problem: OSError) -> None:
        self.problem = problem
        self.count += 1


class ConnectingTests(StreamScene):
    def listener(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        return listener

    async def made(self, maker: Maker) -> None:
        while not maker.count:
            await self.turn(1)
        await self.turn()
        self.assertEqual(maker.count, 1)

    async def test_connected(self) -> None:
        """A connection that is taken becomes a stream."""
        maker = Maker()
        Connecting(self.poller, socket.AF_INET, self.listener().getsockname(), maker).begin()
        self.assertEqual(maker.count, 0, "nothing happens before `begin` returns")
        await self.made(maker)
        assert maker.stream is not None
        maker.stream.start(Listening())
        self.assertTrue(maker.stream.getTcpNoDelay())

    async def test_refused(self) -> None:
        """A refusal is told with its reason."""
        listener = self.listener()
        address = listener.getsockname()
        listener.close()
        maker = Maker()
        Connecting(self.poller, socket.AF_INET, address, maker).begin()
        self.assertEqual(maker.count, 0)
        await self.made(maker)
        self.assertEqual(getattr(maker.problem, "errno", None), errno.ECONNREFUSED)

    async def test_impossible(self) -> None:
        """An address that cannot be is told in the same way, not raised."""
        maker = Maker()
        Connecting(self.poller, socket.AF_INET, ("255.255.255.255", 1), maker).begin()
        self.assertEqual(maker.count, 0)
        await self.made(maker)
        self.assertIsInstance(maker.problem, OSError)

    async def test_cancelled(self) -> None:
        """Given up, nothing more is heard."""
        for address in (self.listener().getsockname(), ("255.255.255.255", 1)):
            maker = Maker()
            connecting = Connecting(self.poller, socket.AF_INET, address, maker)
            connecting.begin()
            connecting.cancel()
            await self.turn(5)
            self.assertEqual(maker.count, 0)
        self.assertEqual(self.poller._table, {})

    async def test_the_poller_is_closed(self) -> None:
        """The end of all is the end of this, too."""
        maker = Maker()
        Connecting(self.poller, socket.AF_INET, self.listener().getsockname(), maker).begin()
        self.poller.connectionLost(Failure(error.ConnectionDone()))
        await self.made(maker)
        self.assertIsNotNone(maker.problem)

    async def test_an_event_that_was_meant_for_another(self) -> None:
        """A descriptor number taken again in one batch: an event of the old one does not make the new one connected."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.addCleanup(filler.close)
        maker = Maker()
        connecting = Connecting(self.poller, socket.AF_INET, listener.getsockname(), maker)
        connecting.begin()
        self.addCleanup(connecting.cancel)
        for event in (connecting.doRead, connecting.doWrite, connecting.hungUp):
            event()
            self.assertEqual(maker.count, 0, "it is still being made")
        listener.setblocking(False)
        while not maker.count:
            try:
                self.addCleanup(listener.accept()[0].close)
            except BlockingIOError:
                await self.turn(1)
        assert maker.stream is not None
        maker.stream.start(Listening())
