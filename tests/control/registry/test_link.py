"""One connection kept up: what the registry's tests do not reach."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from tests.control.registry.scene import Server
from tests.waiting import until
from wmesh.control.registry.dial import Connection
from wmesh.control.registry.link import Link
from wmesh.errors import RegistryError
from wmesh.registry_url import Target, parse_target


class Mute(Protocol):
    """Takes connections and never says a word."""


class Chatty(Protocol):
    """Answers everything with something that is no Redis."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"+HELLO\r\n")


class StrangerTests(TestCase):
    """What listens there is no registry."""

    def link(self, protocol: type[Protocol]) -> Link:
        from twisted.internet import reactor

        self.accepted = 0

        class Counting(Factory):
            noisy = False

            def buildProtocol(factory, addr: Any) -> Protocol:
                self.accepted += 1
                return protocol()

        port = reactor.listenTCP(0, Counting(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        target = Target(host="127.0.0.1", port=port.getHost().port)
        link = Link(target, reactor, timeout=0.2, retry_max=0.1, rng=random.Random(1), now=reactor.seconds)
        self.addCleanup(lambda: link.stop())
        link.start()
        return link

    async def test_silence(self) -> None:
        """A listener that never answers fails commands in time, and is tried again and again."""
        link = self.link(Mute)
        with self.assertRaises(RegistryError):
            await link.command(b"PING")
        await until(lambda: self.accepted > 2)
        self.assertIn("no answer within", link.problem)

    async def test_nonsense(self) -> None:
        """A listener that is not Redis is not taken for one."""
        link = self.link(Chatty)
        await until(lambda: self.accepted > 2)
        self.assertIn("not Redis", link.problem)
        self.assertFalse(link.connected)


class ServerTests(TestCase):
    """Against a real server."""

    async def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(lambda: self.server.remove())
        await self.server.start()

    def link(self, **more: Any) -> Link:
        from twisted.internet import reactor

        options = {"timeout": 1.0, "retry_max": 0.1, "rng": random.Random(1), "now": reactor.seconds, **more}
        link = Link(parse_target(self.server.url), reactor, **options)
        self.addCleanup(link.stop)
        return link

    async def test_no_full_stop(self) -> None:
        """What goes wrong becomes a part of sentences, which have a full stop of their own."""
        link = self.link()
        link.start()
        with self.assertRaises(RegistryError) as caught:
            await link.command(b"EVAL", b"return redis.error_reply('MYERR It ends. Here.')", 0)
        self.assertTrue(str(caught.exception).endswith("It ends. Here"), caught.exception)
        await self.server.kill()
        await until(lambda: not link.connected)
        with self.assertRaises(RegistryError) as caught:
            await link.command(b"PING")
        self.assertFalse(str(caught.exception).endswith("."), caught.exception)

    async def test_a_way_that_ends(self) -> None:
        """The way may say that the server is not the right one any more: the link goes it again, and says why."""
        from wmesh.control.registry.link import way_to

        calls = []
        target = parse_target(self.server.url)

        class Spying:
            def __init__(self, way: Any) -> None:
                self.way = way
                self.check, self.close = way.check, way.close

            async def open(self, hang_up: Any) -> Connection:
                calls.append(hang_up)
                return await self.way.open(hang_up)  # type: ignore[no-any-return]

        from twisted.internet import reactor

        link = self.link(way=Spying(way_to(target, reactor, timeout=1.0, rng=random.Random(1))))
        link.start()
        await link.command(b"PING")
        calls[0]("moved")
        self.assertEqual(link.problem, "moved")
        await until(lambda: link.generation == 2)
        self.assertGreater(link.opened, link.lost)
