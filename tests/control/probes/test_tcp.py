"""The TCP check: somebody listens or not, on real sockets; deadlines on a fake reactor."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.control.probes.certificates import Authority
from tests.control.probes.scene import Scene
from wmesh.control.probes import TcpProbe
from wmesh.model import Address, CheckSpec, InstanceRecord

FAR = InstanceRecord("a", "a-1", Address("10.0.0.1", 80))


class TcpProbeTests(Scene):
    async def test_connects_and_closes(self) -> None:
        """Somebody listens: well, and the connection is closed politely, without a byte."""
        lost = self.lost
        result = await TcpProbe(self.reactor)(self.record, CheckSpec())
        self.assertEqual((result.ok, result.reason), (True, "connected"))
        self.assertEqual(await lost, "ConnectionDone")
        self.assertEqual(self.requests, [])

    async def test_refused(self) -> None:
        """Nobody listens: that is said in one word, at once."""
        result = await TcpProbe(self.reactor)(await self.nobody(), CheckSpec())
        self.assertEqual((result.ok, result.reason), (False, "refused"))
        self.assertLess(result.elapsed, 1.0)

    async def test_another_port(self) -> None:
        """Checks may ask elsewhere than where the traffic goes."""
        elsewhere = await self.nobody()
        result = await TcpProbe(self.reactor)(elsewhere, CheckSpec(port=self.address.port))
        self.assertTrue(result.ok, result.reason)

    async def test_a_name(self) -> None:
        """Hosts may be names."""
        named = replace(self.record, address=Address("localhost", self.address.port))
        result = await TcpProbe(self.reactor)(named, CheckSpec())
        self.assertTrue(result.ok, result.reason)


class TlsTests(Scene):
    async def test_the_handshake_is_the_check(self) -> None:
        """Over TLS it is not enough that somebody listens; nothing is sent, and the goodbye is polite."""
        authority = Authority(self.folder())
        record = self.listen_tls(authority.options("127.0.0.1"))
        lost = self.lost
        spec = CheckSpec(kind="tcp", tls=True, tls_ca=str(authority.file), timeout=2.0)
        result = await TcpProbe(self.reactor)(record, spec)
        self.assertEqual((result.ok, result.reason, result.warning), (True, "connected", ""))
        self.assertEqual(await lost, "ConnectionDone")
        self.assertEqual(self.requests, [])

    async def test_it_does_not_speak_tls(self) -> None:
        """One that waits for a request on the same port costs one timeout; one that answers in the clear, less."""
        spec = CheckSpec(kind="tcp", tls=True, timeout=0.2)
        result = await TcpProbe(self.reactor)(self.record, spec)
        self.assertEqual((result.ok, result.reason), (False, "no TLS handshake in 0.2 s"))


class TcpDeadlineTests(SynchronousTestCase):
    def test_no_connection(self) -> None:
        """A SYN that nobody answers costs exactly the timeout, and leaves no timer behind."""
        reactor = MemoryReactorClock()
        done = TcpProbe(reactor)(FAR, CheckSpec(timeout=2.5))
        reactor.advance(2.4)
        self.assertNoResult(done)
        reactor.advance(0.1)
        result = self.successResultOf(done)
        self.assertEqual((result.ok, result.reason, result.elapsed), (False, "no connection in 2.5 s", 2.5))
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_cancelled_while_connecting(self) -> None:
        """Whoever gives up a check gets its end at once, and no timer stays."""
        reactor = MemoryReactorClock()
        done = TcpProbe(reactor)(FAR, CheckSpec())
        done.addErrback(lambda failure: failure.trap(CancelledError))
        done.cancel()
        self.successResultOf(done)
        self.assertEqual(reactor.getDelayedCalls(), [])
