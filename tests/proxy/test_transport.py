"""Tests of wmesh.proxy.transport: a socket that keeps Twisted's promises to protocols, producers and consumers."""

from __future__ import annotations

import socket

from twisted.internet import error, interfaces
from twisted.internet.address import IPv4Address, UNIXAddress
from zope.interface.verify import verifyObject

from tests.proxy.streams import HalfClosing, Inline, Pushing, StreamScene
from tests.proxy.support import LINGER_NOW
from wmesh.proxy.transport import HIGH_WATER, Stream


class ContractTests(StreamScene):
    def test_interfaces(self) -> None:
        """It is what Twisted's protocols expect of a transport."""
        stream, _, _ = self.stream()
        for interface in (interfaces.ITCPTransport, interfaces.IPushProducer, interfaces.IConsumer):
            self.assertTrue(verifyObject(interface, stream), interface)

    def test_addresses(self) -> None:
        """Addresses are made when asked for, of the right kind."""
        stream, _, _ = self.stream()
        self.assertIsInstance(stream.getPeer(), UNIXAddress)
        tcp, _, far = self.tcp_stream()
        self.assertEqual(tcp.getPeer(), IPv4Address("TCP", "127.0.0.1", far.getsockname()[1]))
        self.assertEqual(tcp.getHost(), IPv4Address("TCP", "127.0.0.1", far.getpeername()[1]))
        tcp.setTcpNoDelay(True)
        tcp.setTcpKeepAlive(True)
        self.assertTrue(tcp.getTcpNoDelay() and tcp.getTcpKeepAlive())


class WritingTests(StreamScene):
    async def test_at_once(self) -> None:
        """What the kernel takes is sent before `write` returns."""
        stream, _, far = self.stream()
        stream.write(b"now")
        self.assertEqual(far.recv(10), b"now")
        stream.writeSequence([b"a", b"b", b"", b"c"])
        self.assertEqual(far.recv(10), b"abc")
        self.assertEqual(stream.unsent, 0)

    async def test_what_does_not_fit_follows(self) -> None:
        """What the kernel does not take waits, in order, and is counted."""
        stream, _, far = self.stream()
        data = bytes(range(256)) * 4000
        stream.write(data[:700_000])
        self.assertGreater(stream.unsent, 500_000)
        stream.write(data[700_000:800_000])
        stream.writeSequence([data[800_000:900_000], data[900_000:]])
        self.assertTrue(await self.all_of(far, len(data)) == data)
        await self.turn()
        self.assertEqual(stream.unsent, 0)
        stream.write(b"and on")
        self.assertEqual(far.recv(10), b"and on")

    async def test_a_long_sequence(self) -> None:
        """Pieces that the kernel gathers, in part or in whole, arrive as one."""
        for small in (True, False):
            stream, _, far = self.stream(small=small)
            pieces = [bytes((number,)) * 20_000 for number in range(5)]
            stream.writeSequence(pieces)
            self.assertTrue(await self.all_of(far, 100_000) == b"".join(pieces))

    async def test_after_the_end(self) -> None:
        """Writing when all is over is no error."""
        stream, _, _ = self.stream(Inline())
        stream.loseConnection()
        stream.write(b"late")
        stream.writeSequence([b"later" * 10_000, b"x" * 10_000])
        stream.loseWriteConnection()
        stream.abortConnection()
        stream.resumeProducing()
        self.assertEqual(stream.fileno(), -1)

    async def test_the_peer_takes_no_more(self) -> None:
        """A failed send does not lose what the peer said before it went."""
        stream, protocol, far = self.stream()
        far.send(b"last words")
        far.close()
        stream.write(b"x" * 100)
        self.assertEqual(protocol.told, [])
        await self.turn()
        self.assertEqual((protocol.data, protocol.told), (b"last words", ["lost"]))

    async def test_the_peer_goes_while_bytes_wait(self) -> None:
        """Queued bytes for a peer that is gone are dropped, and the protocol is told."""
        stream, protocol, far = self.stream()
        stream.write(b"x" * 500_000)
        far.close()
        await self.turn()
        self.assertEqual((protocol.told, stream.unsent), (["lost"], 0))


class ClosingTests(StreamScene):
    async def test_with_nothing_queued(self) -> None:
        """A protocol that can bear it hears of the end before the call returns; others in a later turn."""
        stream, protocol, far = self.stream(Inline())
        stream.loseConnection()
        self.assertEqual(protocol.told, ["lost"])
        self.assertTrue(protocol.reason.check(error.ConnectionDone))
        self.assertEqual(far.recv(1), b"")
        stream, protocol, far = self.stream()
        stream.loseConnection()
        self.assertEqual(protocol.told, [])
        await self.turn()
        self.assertEqual(protocol.told, ["lost"])

    async def test_with_much_queued(self) -> None:
        """All that was written before is sent before the end."""
        stream, protocol, far = self.stream(Inline())
        stream.write(b"x" * 500_000)
        stream.loseConnection()
        stream.write(b"not any more")
        self.assertEqual(protocol.told, [])
        self.assertEqual(await self.all_of(far), b"x" * 500_000)
        self.assertEqual(protocol.told, ["lost"])

    async def test_abort(self) -> None:
        """An abort drops what is queued, at once."""
        stream, protocol, far = self.stream(Inline())
        stream.write(b"x" * 500_000)
        stream.abortConnection()
        self.assertEqual(protocol.told, ["lost"])
        self.assertTrue(protocol.reason.check(error.ConnectionAborted))
        self.assertLess(len(await self.all_of(far)), 500_000)

    async def test_abort_is_seen_as_a_reset(self) -> None:
        """Over TCP the peer sees a reset, not an end."""
        stream, _, far = self.tcp_stream(Inline())
        stream.abortConnection()
        with self.assertRaises(ConnectionResetError):
            far.recv(1)

    async def test_abort_of_an_ordinary_protocol(self) -> None:
        """A protocol of Twisted's kind hears of it in a later turn, once, whatever comes between."""
        stream, protocol, _ = self.stream()
        stream.abortConnection()
        stream.abortConnection()
        stream.loseConnection()
        self.assertEqual(protocol.told, [])
        await self.turn()
        self.assertEqual(protocol.told, ["lost"])
        self.assertTrue(protocol.reason.check(error.ConnectionAborted))

    async def test_the_peer_ends(self) -> None:
        """A FIN is a clean end, a reset is not."""
        _, protocol, far = self.stream()
        far.send(b"bye")
        far.close()
        await self.turn()
        self.assertEqual((protocol.data, protocol.told), (b"bye", ["lost"]))
        self.assertTrue(protocol.reason.check(error.ConnectionDone))
        _, protocol, far = self.tcp_stream()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW)
        far.close()
        await self.turn()
        self.assertTrue(protocol.reason is not None and protocol.reason.check(error.ConnectionLost))

    async def test_the_peer_half_closes(self) -> None:
        """A protocol that can go on is told so, once, and may go on writing."""
        stream, protocol, far = self.stream(HalfClosing())
        far.shutdown(socket.SHUT_WR)
        await self.turn(5)
        self.assertEqual(protocol.told, ["read closed"])
        stream.write(b"still here")
        self.assertEqual(far.recv(20), b"still here")
        stream.loseConnection()
        await self.turn()
        self.assertEqual(protocol.told, ["read closed", "lost"])

    async def test_half_closing(self) -> None:
        """Our own FIN goes out behind all that was written; reading goes on."""
        stream, protocol, far = self.stream(HalfClosing())
        stream.write(b"x" * 300_000)
        stream.loseWriteConnection()
        stream.write(b"not any more")
        self.assertEqual(len(await self.all_of(far)), 300_000)
        self.assertEqual(protocol.told, ["write closed"])
        far.send(b"I hear you")
        await self.turn()
        self.assertEqual(protocol.data, b"I hear you")

    async def test_the_end_while_paused(self) -> None:
        """A client that is gone is noticed while nobody reads."""
        stream, protocol, far = self.stream()
        stream.pauseProducing()
        far.close()
        await self.turn()
        self.assertEqual(protocol.told, ["lost"])

    async def test_an_instance_gone_while_paused(self) -> None:
        """Of an instance the last bytes are wanted: they stay until somebody reads on."""
        stream, protocol, far = self.stream()
        stream.server_side = False
        stream.pauseProducing()
        far.send(b"the end of the answer")
        far.close()
        await self.turn(5)
        self.assertEqual(protocol.told, [])
        stream.resumeProducing()
        await self.turn()
        self.assertEqual((protocol.data, protocol.told), (b"the end of the answer", ["lost"]))


class PausingTests(StreamScene):
    async def test_paused_is_paused(self) -> None:
        """Nothing is read while paused, and nothing is lost by it."""
        stream, protocol, far = self.stream()
        stream.pauseProducing()
        stream.pauseProducing()
        far.send(b"waiting")
        await self.turn()
        self.assertEqual(protocol.data, b"")
        stream.resumeProducing()
        stream.resumeProducing()
        await self.turn()
        self.assertEqual(protocol.data, b"waiting")

    async def test_stop_producing(self) -> None:
        """A transport that is told to stop producing closes."""
        stream, protocol, _ = self.stream(Inline())
        stream.stopProducing()
        self.assertEqual(protocol.told, ["lost"])


class ConsumerTests(StreamScene):
    async def test_a_push_producer(self) -> None:
        """Paused when too much waits, resumed when all is gone, and not told twice."""
        stream, _, far = self.stream()
        producer = Pushing()
        stream.registerProducer(producer, True)
        stream.write(b"x" * 1000)
        self.assertEqual(producer.told, [])
        stream.write(b"x" * (HIGH_WATER * 2))
        stream.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        await self.all_of(far, 1000 + HIGH_WATER * 2 + 1)
        await self.turn()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertIs(stream.unregisterProducer(), None)

    async def test_registered_late(self) -> None:
        """A producer that comes when too much waits already is paused at once."""
        stream, _, far = self.stream()
        stream.write(b"x" * (HIGH_WATER * 3))
        producer = Pushing()
        stream.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])
        await self.all_of(far, HIGH_WATER * 3)
        await self.turn()
        self.assertEqual(producer.told, ["pause", "resume"])

    async def test_two_producers(self) -> None:
        """One at a time; another may follow."""
        stream, _, _ = self.stream()
        stream.registerProducer(Pushing(), True)
        self.assertRaises(RuntimeError, stream.registerProducer, Pushing(), True)
        stream.unregisterProducer()
        stream.registerProducer(Pushing(), True)

    async def test_the_connection_is_lost(self) -> None:
        """Its producer is told to stop, once, before the protocol hears of the end."""
        stream, protocol, far = self.stream()
        producer = Pushing()
        stream.registerProducer(producer, True)
        producer.told = protocol.told
        far.close()
        await self.turn()
        self.assertEqual(protocol.told, ["stop", "lost"])

    async def test_too_late(self) -> None:
        """A producer for a connection that is gone is told to stop at once."""
        stream, _, _ = self.stream(Inline())
        stream.abortConnection()
        producer = Pushing()
        stream.registerProducer(producer, True)
        self.assertEqual(producer.told, ["stop"])
        stream.unregisterProducer()

    async def test_closing_waits_for_the_producer(self) -> None:
        """`loseConnection` closes when the producer says that it is done, not before."""
        stream, protocol, far = self.stream(Inline())
        producer = Pushing()
        stream.registerProducer(producer, True)
        stream.loseConnection()
        await self.turn()
        self.assertEqual(protocol.told, [])
        stream.unregisterProducer()
        self.assertEqual(protocol.told, ["lost"])
        self.assertEqual(await self.all_of(far), b"")

    async def test_closing_waits_for_producer_and_queue(self) -> None:
        """The same with bytes still to go."""
        stream, protocol, far = self.stream(Inline())
        producer = Pushing()
        stream.registerProducer(producer, True)
        stream.write(b"x" * 500_000)
        stream.loseConnection()
        stream.unregisterProducer()
        self.assertEqual(protocol.told, [])
        self.assertEqual(len(await self.all_of(far)), 500_000)
        self.assertEqual(protocol.told, ["lost"])

    async def test_a_pull_producer(self) -> None:
        """Asked for more as long as there is room, whether the kernel takes all at once or not."""
        for small in (False, True):
            stream, protocol, far = self.stream(Inline(), small=small)
            producer = Pushing()
            left = [50]

            def produce(stream: Stream = stream, left: list[int] = left) -> None:
                if left[0]:
                    left[0] -= 1
                    stream.write(b"x" * 10_000)
                else:
                    stream.unregisterProducer()
                    stream.loseConnection()

            producer.on_resume = produce
            stream.registerProducer(producer, False)
            self.assertEqual(len(await self.all_of(far)), 500_000, small)
            self.assertEqual(protocol.told, ["lost"])
            self.assertNotIn("pause", producer.told)
