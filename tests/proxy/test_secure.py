"""Tests of wmesh.proxy.secure: a Stream's promises over TLS, against a TLS server that the test drives by hand."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import struct
import tempfile
from typing import Any

from twisted.internet import error
from twisted.python.failure import Failure

from tests.certificates import Authority
from tests.proxy.streams import HalfClosing, Inline, Listening, Pushing, StreamScene
from wmesh.proxy.secure import SecureStream, TlsFailure
from wmesh.proxy.transport import HIGH_WATER


class Waiting:
    """Stands where the pool does: starts a protocol when the handshake is done."""

    closes_inline = True

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.told: list[str] = []

    def secured(self, stream: SecureStream) -> None:
        self.told.append("secured")
        stream.start(self.protocol)

    def insecure(self, problem: str) -> None:
        self.told.append(problem)

    def connectionLost(self, reason: Failure) -> None:
        self.told.append("lost")


class SecureScene(StreamScene):
    def setUp(self) -> None:
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.authority = Authority(self.folder)
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(*self.authority.issue("server", "127.0.0.1"))
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False
        self.client.load_verify_locations(self.authority.ca)

    def begin(self, protocol: Listening | None = None, session: Any = None) -> tuple[SecureStream, Waiting, Far]:
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for end in (near, far):
            end.setblocking(False)
        self.addCleanup(far.close)
        stream = SecureStream(near, self.poller, None, False)
        waiting = Waiting(protocol or Inline())
        stream.secure(self.client, "127.0.0.1", session, waiting)
        return stream, waiting, Far(self, far)

    async def open(self, protocol: Listening | None = None, session: Any = None) -> tuple[SecureStream, Any, Far]:
        stream, waiting, far = self.begin(protocol, session)
        await far.shake()
        await self.until(lambda: waiting.told == ["secured"])
        return stream, waiting.protocol, far

    async def until(self, condition: Any) -> None:
        while not condition():
            await self.turn(1)


class Far:
    """The server's end."""

    def __init__(self, scene: SecureScene, sock: socket.socket) -> None:
        self.scene = scene
        self.socket = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = scene.server.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def fetch(self) -> bool:
        """Take what is there; False: nothing."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return False
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return True

    def flush(self) -> None:
        if self.outgoing.pending:
            self.socket.sendall(self.outgoing.read())

    async def shake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                if not self.fetch():
                    await self.scene.turn(1)
                continue
            except ssl.SSLError:
                self.flush()
                raise
            self.flush()
            return

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.flush()

    async def read(self, size: int = 0) -> bytes:
        """So many bytes, or all up to close_notify."""
        data = b""
        while not size or len(data) < size:
            try:
                piece = self.tls.read(1 << 16)
            except ssl.SSLZeroReturnError:
                break
            except ssl.SSLWantReadError:
                if not self.fetch():
                    await self.scene.turn(1)
                continue
            if not piece:
                break
            data += piece
        return data

    def goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self.flush()


class HandshakeTests(SecureScene):
    async def test_done(self) -> None:
        """The protocol is started by who waited, and can be written to at once."""
        stream, protocol, far = await self.open()
        self.assertIs(protocol.transport, stream)
        self.assertFalse(stream.resumed)
        self.assertIsNotNone(stream.certificate())
        stream.write(b"hello")
        self.assertEqual(await far.read(5), b"hello")

    async def assert_fails(self, *words: str) -> None:
        stream, waiting, far = self.begin()
        with contextlib.suppress(ssl.SSLError):
            await far.shake()
        await self.until(lambda: waiting.told)
        await self.until(lambda: not stream.connected)
        self.assertEqual(len(waiting.told), 1)
        self.assertEqual(waiting.protocol.told, [])
        for word in words:
            self.assertIn(word, waiting.told[0])

    async def test_not_trusted(self) -> None:
        """Words for what is wrong, told once; the protocol never hears of it."""
        folder = tempfile.mkdtemp(prefix="wmt-")
        self.addCleanup(shutil.rmtree, folder)
        self.server.load_cert_chain(*Authority(folder).issue("server", "127.0.0.1"))
        await self.assert_fails("signed by an authority that is not trusted")

    async def test_expired(self) -> None:
        self.server.load_cert_chain(*self.authority.issue("old", "127.0.0.1", days=-1))
        await self.assert_fails("has expired")

    async def test_nothing_in_common(self) -> None:
        self.server.maximum_version = ssl.TLSVersion.TLSv1_2
        self.client.minimum_version = ssl.TLSVersion.TLSv1_3
        await self.assert_fails("it does not speak TLS 1.2 or 1.3")

    async def test_no_tls_there(self) -> None:
        """A plain server's answer is recognised as one."""
        stream, waiting, far = self.begin()
        far.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await self.until(lambda: waiting.told)
        self.assertEqual(waiting.told, ["it does not speak TLS"])
        await self.until(lambda: not stream.connected)

    async def test_closed_in_the_middle(self) -> None:
        stream, waiting, far = self.begin()
        far.fetch()
        far.socket.close()
        await self.until(lambda: waiting.told)
        self.assertEqual(waiting.told, ["lost"])
        self.assertFalse(stream.connected)

    async def test_a_client_certificate_is_asked_for(self) -> None:
        """In TLS 1.3 that comes after our side is done: it is told as a refusal of everything sent so far."""
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.server.load_verify_locations(self.authority.ca)
        stream, waiting, far = self.begin()
        with self.assertRaises(ssl.SSLError):
            await far.shake()
        await self.until(lambda: not stream.connected)
        self.assertEqual(waiting.told, ["secured"])
        failure = waiting.protocol.reason.value
        self.assertIsInstance(failure, TlsFailure)
        self.assertTrue(failure.refused)
        self.assertEqual(str(failure), "it asks for a client certificate")

    async def test_a_client_certificate_is_shown(self) -> None:
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.server.load_verify_locations(self.authority.ca)
        self.client.load_cert_chain(*self.authority.issue("me"))
        _, protocol, far = await self.open()
        far.send(b"welcome")
        await self.until(lambda: protocol.data == b"welcome")

    async def test_a_session_is_resumed(self) -> None:
        """What `once_read` is told of, once, can be resumed."""
        told: list[SecureStream] = []
        stream, protocol, far = await self.open()
        stream.once_read(told.append)
        for text in (b"one", b"two"):
            far.send(text)
            await self.until(lambda text=text: protocol.data.endswith(text))
        self.assertEqual(told, [stream])
        again, _, _ = await self.open(session=stream.session())
        self.assertTrue(again.resumed)
        self.assertIsNotNone(again.certificate(), "it can still be looked at")


class BytesTests(SecureScene):
    async def test_much_both_ways(self) -> None:
        """Nothing is lost, doubled or out of order, whatever sizes it goes in."""
        data = bytes(range(256)) * 4000
        stream, protocol, far = await self.open()
        stream.write(data[:700_000])
        self.assertGreater(stream.unsent, 500_000)
        stream.writeSequence([data[700_000:], b"", b"the end"])
        self.assertEqual(await far.read(len(data) + 7), data + b"the end")
        for start in range(0, len(data), 50_000):
            far.tls.write(data[start : start + 50_000])
            rest = far.outgoing.read()
            while rest:
                try:
                    rest = rest[far.socket.send(rest[:7777]) :]
                except BlockingIOError:
                    await self.turn(1)
        await self.until(lambda: len(protocol.data) == len(data))
        self.assertEqual(protocol.data, data)

    async def test_producer(self) -> None:
        """A producer is paused when the other side takes no more, and resumed when all is out."""
        stream, _, far = await self.open()
        pushing = Pushing()
        stream.registerProducer(pushing, True)
        stream.write(b"x" * (HIGH_WATER * 8))
        self.assertEqual(pushing.told, ["pause"])
        await far.read(HIGH_WATER * 8)
        await self.until(lambda: pushing.told == ["pause", "resume"])
        stream.unregisterProducer()

    async def test_pause(self) -> None:
        """Paused, nothing is read, so that the other side is held back; resumed, it all comes."""
        stream, protocol, far = await self.open()
        stream.pauseProducing()
        far.send(b"later")
        await self.turn(5)
        self.assertEqual(protocol.data, b"")
        stream.resumeProducing()
        await self.until(lambda: protocol.data == b"later")


class EndTests(SecureScene):
    async def test_their_goodbye(self) -> None:
        """What came before it is read first; it ends as a clean close does."""
        _, protocol, far = await self.open()
        far.tls.write(b"last words")
        far.goodbye()
        await self.until(lambda: protocol.told)
        self.assertEqual(protocol.data, b"last words")
        self.assertTrue(protocol.reason.check(error.ConnectionDone))

    async def test_cut(self) -> None:
        """A socket that just closes is not the end of the bytes: somebody on the way may have cut it."""
        _, protocol, far = await self.open()
        far.send(b"half of")
        far.socket.close()
        await self.until(lambda: protocol.told)
        self.assertEqual(protocol.data, b"half of")
        self.assertTrue(protocol.reason.check(error.ConnectionLost))

    async def test_tampered(self) -> None:
        """What was changed on the way ends the connection, and is handed to nobody."""
        _, protocol, far = await self.open()
        far.tls.write(b"pay 10")
        record = bytearray(far.outgoing.read())
        record[-1] ^= 1
        far.socket.sendall(record)
        await self.until(lambda: protocol.told)
        self.assertEqual(protocol.data, b"")
        self.assertIsInstance(protocol.reason.value, TlsFailure)
        self.assertFalse(protocol.reason.value.refused)

    async def test_our_goodbye(self) -> None:
        """Everything written goes out before it, and then our goodbye."""
        stream, protocol, far = await self.open()
        stream.write(b"x" * 300_000)
        stream.loseConnection()
        self.assertEqual(len(await far.read()), 300_000)
        await self.until(lambda: protocol.told == ["lost"])

    async def test_half_closed(self) -> None:
        """We say that no more will come, and go on reading."""
        stream, protocol, far = await self.open(HalfClosing())
        stream.write(b"question")
        stream.loseWriteConnection()
        stream.write(b"this is too late")
        self.assertEqual(await far.read(), b"question")
        self.assertIn("write closed", protocol.told)
        far.send(b"answer")
        await self.until(lambda: protocol.data == b"answer")
        stream.abortConnection()

    async def test_abort(self) -> None:
        """No goodbye: the other side must see that something is missing."""
        stream, protocol, far = await self.open()
        stream.write(b"x" * 300_000)
        stream.abortConnection()
        self.assertEqual(protocol.told, ["lost"])
        with self.assertRaises(OSError):
            await far.read()

    async def test_a_reset(self) -> None:
        """A reset is a lost connection, and told once."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        near = socket.create_connection(listener.getsockname())
        near.setblocking(False)
        accepted, _ = listener.accept()
        accepted.setblocking(False)
        protocol = Inline()
        stream = SecureStream(near, self.poller, None, False)
        stream.secure(self.client, "127.0.0.1", None, Waiting(protocol))
        far = Far(self, accepted)
        await far.shake()
        await self.until(lambda: protocol.transport)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        await self.until(lambda: protocol.told)
        self.assertTrue(protocol.reason is not None and protocol.reason.check(error.ConnectionLost))
