"""Tests of wmesh.proxy.poller: descriptors in a set of their own, and what happens when they come and go together."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from wmesh.proxy.poller import Poller


class Recording:
    """A pollable that notes what it is told; `on_read` and the like are what a test wants it to do besides."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.told: list[str] = []
        self.do: dict[str, Callable[[], Any]] = {}

    def fileno(self) -> int:
        return self.sock.fileno()

    def doRead(self) -> None:
        self._note("read")

    def doWrite(self) -> None:
        self._note("write")

    def hungUp(self) -> None:
        self._note("hung up")

    def connectionLost(self, reason: Failure) -> None:
        self._note("lost")

    def _note(self, what: str) -> None:
        self.told.append(what)
        if what in self.do:
            self.do[what]()


class PollerScene(TestCase):
    timeout = 10

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.poller = Poller(reactor)
        self.closed = False
        self.addCleanup(self._close)

    def _close(self) -> None:
        if not self.closed:
            self.poller.close()

    def pair(self) -> tuple[Recording, socket.socket]:
        """A pollable, and the other end of its socket."""
        near, far = socket.socketpair()
        near.setblocking(False)
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        return Recording(near), far

    async def turn(self, count: int = 2) -> None:
        for _ in range(count):
            await deferLater(self.reactor, 0)


class InterestTests(PollerScene):
    async def test_reading(self) -> None:
        """What may be read is told for as long as it stays unread."""
        near, far = self.pair()
        self.poller.addReader(near)
        await self.turn()
        self.assertEqual(near.told, [])
        far.send(b"x")
        await self.turn()
        self.assertGreaterEqual(near.told.count("read"), 2)
        near.sock.recv(1)
        near.told.clear()
        await self.turn()
        self.assertEqual(near.told, [])

    async def test_writing(self) -> None:
        """Room to write is told until nobody asks any more."""
        near, _ = self.pair()
        near.do["write"] = lambda: self.poller.removeWriter(near)
        self.poller.addWriter(near)
        await self.turn(4)
        self.assertEqual(near.told, ["write"])

    async def test_both(self) -> None:
        """Reading goes before writing."""
        near, far = self.pair()
        near.do["write"] = lambda: self.poller.removeWriter(near)
        far.send(b"x")
        self.poller.addReader(near)
        self.poller.addWriter(near)
        await self.turn()
        self.assertEqual(near.told[:2], ["read", "write"])

    async def test_not_asked(self) -> None:
        """Interest that was taken back is not served."""
        near, far = self.pair()
        self.poller.addReader(near)
        self.poller.removeReader(near)
        far.send(b"x")
        await self.turn()
        self.assertEqual(near.told, [])
        self.poller.addReader(near)
        await self.turn()
        self.assertIn("read", near.told)

    async def test_the_end_while_nobody_reads(self) -> None:
        """The other end is gone: told even to those who asked for nothing, and only that."""
        near, far = self.pair()
        self.poller.addReader(near)
        self.poller.removeReader(near)
        near.do["hung up"] = lambda: self.poller.detach(near)
        far.close()
        await self.turn(4)
        self.assertEqual(near.told, ["hung up"])
        self.poller.addReader(near)
        await self.turn()
        self.assertIn("read", near.told)

    async def test_the_reactor_sees_one_descriptor(self) -> None:
        """However many are watched, the reactor has one reader; with none, none."""
        before = len(self.reactor.getReaders())
        pairs = [self.pair() for _ in range(5)]
        for near, _ in pairs:
            self.poller.watch(near, near.fileno())
        self.assertEqual(len(self.reactor.getReaders()), before + 1)
        for near, _ in pairs:
            self.poller.forget(near.fileno())
        self.assertEqual(len(self.reactor.getReaders()), before)

    async def test_more_than_one_batch(self) -> None:
        """Nobody is forgotten when more are ready than one batch holds."""
        self.patch(Poller, "BATCH", 3)
        pairs = [self.pair() for _ in range(10)]
        for near, far in pairs:
            near.do["read"] = lambda near=near: near.sock.recv(10)
            self.poller.addReader(near)
            far.send(b"x")
        await self.turn(8)
        self.assertEqual([near.told for near, _ in pairs], [["read"]] * 10)

    async def test_a_closed_descriptor(self) -> None:
        """To ask for a socket that is closed already is no error."""
        near, _ = self.pair()
        near.sock.close()
        self.poller.addReader(near)
        self.poller.removeReader(near)


class BatchTests(PollerScene):
    async def test_one_closes_the_other(self) -> None:
        """Of two that are ready at once, the first closes the second: the second hears no more."""
        (one, one_far), (two, two_far) = self.pair(), self.pair()

        def close(near: Recording) -> None:
            if near.fileno() >= 0:
                self.poller.forget(near.fileno())
                near.sock.close()

        one.do["read"] = lambda: (one.sock.recv(9), close(two))
        two.do["read"] = lambda: (two.sock.recv(9), close(one))
        self.poller.addReader(one)
        self.poller.addReader(two)
        one_far.send(b"x")
        two_far.send(b"x")
        await self.turn(4)
        self.assertEqual(len(one.told) + len(two.told), 1)

    async def test_a_number_is_taken_again(self) -> None:
        """The first closes the second and opens a third, which gets the second's number and stale event: nobody breaks.

        The third is told to read, where nothing is to be read; that is what every `doRead` must bear.
        """
        (one, one_far), (two, two_far) = self.pair(), self.pair()
        thirds: list[Recording] = []

        def replace() -> None:
            if thirds:
                return
            number = two.fileno()
            self.poller.forget(number)
            two.sock.close()
            near, far = socket.socketpair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            if near.fileno() != number:
                os.dup2(near.fileno(), number)
                near.close()
                near = socket.socket(fileno=number)
                self.addCleanup(near.close)
            third = Recording(near)
            thirds.append(third)
            self.poller.watch(third, third.fileno())

        one.do["read"] = lambda: (one.sock.recv(9), replace())
        self.poller.addReader(one)
        self.poller.addReader(two)
        one_far.send(b"x")
        two_far.send(b"x")
        await self.turn(4)
        self.assertEqual(two.told, [])
        self.assertIn(thirds[0].told, ([], ["read"]))

    async def test_an_error_ends_one_connection_only(self) -> None:
        """A bug met on one connection closes it, and is logged; all others go on."""
        (bad, bad_far), (good, good_far) = self.pair(), self.pair()

        def fail() -> None:
            raise RuntimeError("a bug")

        bad.do["read"] = fail
        bad.do["lost"] = lambda: self.poller.forget(bad.fileno())
        good.do["read"] = lambda: good.sock.recv(9)
        self.poller.addReader(bad)
        self.poller.addReader(good)
        bad_far.send(b"x")
        good_far.send(b"x")
        await self.turn(3)
        self.assertEqual(bad.told, ["read", "lost"])
        self.assertEqual(good.told, ["read"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_an_error_while_closing_after_an_error(self) -> None:
        """Not even a bug in how it deals with the bug may end all other connections."""
        (bad, bad_far), (good, good_far) = self.pair(), self.pair()

        def fail() -> None:
            raise RuntimeError("a bug")

        bad.do["read"] = bad.do["lost"] = fail
        good.do["read"] = lambda: good.sock.recv(9)
        self.poller.addReader(bad)
        self.poller.addReader(good)
        bad_far.send(b"x")
        await self.turn(3)
        good_far.send(b"x")
        await self.turn(3)
        self.assertEqual(good.told, ["read"])
        self.assertEqual(bad.told.count("read"), 1, "it is not asked again and again")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    async def test_closed_in_the_middle_of_a_batch(self) -> None:
        """The last answer of a gateway that stops is given here: closing from within is in order."""
        (one, one_far), (two, two_far) = self.pair(), self.pair()

        def close() -> None:
            self.closed = True
            self.poller.close()

        for near in (one, two):
            near.do["read"] = close
            near.do["lost"] = lambda near=near: self.poller.forget(near.fileno())
            self.poller.addReader(near)
        one_far.send(b"x")
        two_far.send(b"x")
        await self.turn(3)
        self.assertEqual(sorted(one.told + two.told), ["lost", "lost", "read"])
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertNotIn(self.poller, self.reactor.getReaders())


class EndTests(PollerScene):
    async def test_close(self) -> None:
        """Closing ends all connections that are left."""
        pairs = [self.pair() for _ in range(3)]
        for near, _ in pairs:
            near.do["lost"] = lambda near=near: self.poller.forget(near.fileno())
            self.poller.addReader(near)
        self.closed = True
        self.poller.close()
        self.assertEqual([near.told for near, _ in pairs], [["lost"]] * 3)

    def test_all_else_is_the_reactors(self) -> None:
        """Ports are handed the poller as their reactor: what it does not do itself, the real one does."""
        self.assertEqual(self.poller.callLater, self.reactor.callLater)
        self.assertEqual(self.poller.logPrefix(), "data plane")
