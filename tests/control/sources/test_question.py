"""One question, and all that a name server can do instead of answering it."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.names import dns
from twisted.trial.unittest import TestCase

from tests.control.sources.scene import ScriptedServer, a, aaaa, answer, cname, network, srv
from wmesh.control.sources import question
from wmesh.control.sources.question import Questions, Reply
from wmesh.model import Address
from wmesh.policy.records import CNAME, SRV, A, Absent, Failed, Record, Service

NAME = "web.test"


class QuestionCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        # Silence is what several tests are about, and has to be waited for.
        self.patch(question, "PATIENCE", (0.05, 0.1))
        self.patch(question, "TCP_PATIENCE", 0.2)
        self.questions = Questions(network)

    def server(self, script: Any, host: str = "127.0.0.1") -> ScriptedServer:
        server = ScriptedServer(script, host)
        self.addCleanup(server.stop)
        return server

    async def said(self, *scripts: Any, name: str = NAME, kind: str = A) -> Any:
        """What comes out where the servers do this."""
        return await self.questions.ask([self.server(script).address for script in scripts], name, kind)

    async def fails(self, script: Any, text: str) -> None:
        found = await self.said(script)
        self.assertIsInstance(found, Failed)
        self.assertIn(text, found.reason)


class AnswerTests(QuestionCase):
    async def test_records(self) -> None:
        """Of the kinds that we know, and of the Internet class; with what was sent along."""

        def script(asked: dns.Message, _: bool) -> dns.Message:
            text = dns.RRHeader(NAME, dns.TXT, dns.IN, 5, dns.Record_TXT(b"hello"))
            chaos = dns.RRHeader(NAME, dns.A, dns.CH, 5, dns.Record_A("10.9.9.9"))
            records = (a("WEB.test", "10.0.0.1", 7), cname(NAME, "b.test"), text, chaos)
            return answer(asked, *records, additional=[aaaa("b.test", "2001:db8::1")])

        found = await self.said(script)
        self.assertEqual(
            found,
            Reply(
                (Record("WEB.test", A, 7.0, "10.0.0.1"), Record(NAME, CNAME, 60.0, "b.test")),
                (Record("b.test", "AAAA", 60.0, "2001:db8::1"),),
            ),
        )

    async def test_services(self) -> None:
        """The root as a target is a dot."""
        found = await self.said(
            lambda asked, _: answer(asked, srv(NAME, "b.test", 80, 1, 2), srv(NAME, "", 0)), kind=SRV
        )
        self.assertEqual([each.value for each in found.answers], [Service(1, 2, 80, "b.test"), Service(0, 0, 0, ".")])

    async def test_impossible_ttl(self) -> None:
        """The top bit of a TTL is nobody's intention."""
        found = await self.said(lambda asked, _: answer(asked, a(NAME, "10.0.0.1", 2**32 - 1)))
        self.assertEqual(found.answers[0].ttl, 0.0)

    async def test_names_that_are_no_text(self) -> None:
        """They are shown, and are no names."""
        found = await self.said(lambda asked, _: answer(asked, cname(NAME, "b.test"), a(NAME, "10.0.0.1")))
        self.assertEqual(found.answers[0].value, "b.test")
        odd = dns.RRHeader(NAME, dns.CNAME, dns.IN, 5, dns.Record_CNAME("b.test"))
        odd.payload.name.name = b"\xff\x00.test"
        found = await self.said(lambda asked, _: answer(asked, odd))
        self.assertEqual(found.answers[0].value, "\\xff\x00.test")

    async def test_nothing(self) -> None:
        """NXDOMAIN is a word; so is an answer without records."""
        self.assertIsInstance(await self.said(lambda asked, _: answer(asked, rCode=dns.ENAME)), Absent)
        self.assertEqual(await self.said(lambda asked, _: answer(asked)), Reply((), ()))

    async def test_ipv6_server(self) -> None:
        """Name servers have addresses of both families."""
        server = self.server(lambda asked, _: answer(asked, a(NAME, "10.0.0.1")), "::1")
        found = await self.questions.ask([server.address], NAME, A)
        self.assertIsInstance(found, Reply)


class TcpTests(QuestionCase):
    async def test_truncated(self) -> None:
        """The same server is asked again over TCP; hundreds of addresses fit there."""
        records = [a(NAME, f"10.0.{number // 250}.{number % 250}") for number in range(900)]
        server = self.server(lambda asked, _: answer(asked, *records))
        other = self.server(lambda asked, _: None)
        found = await self.questions.ask([server.address, other.address], NAME, A)
        self.assertEqual(len(found.answers), 900)
        self.assertEqual(server.asked, [(NAME, dns.A, False), (NAME, dns.A, True)])
        self.assertEqual(other.asked, [])

    async def test_truncated_for_ever(self) -> None:
        """A server that cuts its answers over TCP, too, says nothing that could be used."""
        await self.fails(lambda asked, _: answer(asked, trunc=1), "cuts its answers")

    async def test_closed_or_garbled(self) -> None:
        """Whatever happens to the connection ends the question, and not in an error."""
        cut = lambda asked, tcp: None if tcp else answer(asked, trunc=1)  # noqa: E731
        await self.fails(cut, "closes the TCP connection")
        odd = lambda asked, tcp: answer(asked, id=asked.id ^ 1) if tcp else answer(asked, trunc=1)  # noqa: E731
        await self.fails(odd, "answers another question over TCP")

    async def test_no_tcp(self) -> None:
        """A server that does not listen there cannot be asked for more."""

        def script(asked: dns.Message, _: bool) -> dns.Message:
            return answer(asked, trunc=1)

        server = self.server(script)
        await server._ports[0].stopListening()
        found = await self.questions.ask([server.address], NAME, A)
        self.assertIn("cannot be reached over TCP", found.reason)


class UnusableTests(QuestionCase):
    async def test_the_next_server_is_asked(self) -> None:
        """Silence, every refusal, a referral, garbage: somebody else may know."""

        def good(asked: dns.Message, _: bool) -> dns.Message:
            return answer(asked, a(NAME, "10.0.0.1"))

        referral = [dns.RRHeader("test", dns.NS, dns.IN, 5, dns.Record_NS("ns.test"))]
        for bad in (
            lambda asked, _: None,
            lambda asked, _: answer(asked, rCode=dns.ESERVER),
            lambda asked, _: answer(asked, rCode=dns.EREFUSED),
            lambda asked, _: answer(asked, rCode=dns.ENOTIMP),
            lambda asked, _: answer(asked, rCode=dns.EFORMAT, queries=[]),
            lambda asked, _: answer(asked, rCode=9),
            lambda asked, _: answer(asked, authority=referral),
            lambda asked, _: answer(asked, a(NAME, "10.0.0.1")).toStr()[:-3],
            lambda asked, _: b"\0\0",
        ):
            self.assertIsInstance(await self.said(bad, good), Reply)
            self.assertIsInstance(await self.said(bad), Failed)

    async def test_why(self) -> None:
        """The text names question, server and what it did."""
        server = self.server(lambda asked, _: answer(asked, rCode=dns.ESERVER))
        found = await self.questions.ask([server.address], NAME, A)
        self.assertEqual(found, Failed(f"web.test A: name server {server.address} could not find out (SERVFAIL)"))

    async def test_an_answer_that_ends_too_early(self) -> None:
        """It would look like one with fewer records: instances would vanish."""
        records = [a(NAME, "10.0.0.1"), a(NAME, "10.0.0.2")]
        await self.fails(lambda asked, _: answer(asked, *records).toStr()[:-4], "ends before its end")

    async def test_only_other_kinds(self) -> None:
        """Whoever sends something else has not said that there is nothing."""
        text = dns.RRHeader(NAME, dns.TXT, dns.IN, 5, dns.Record_TXT(b"hello"))
        await self.fails(lambda asked, _: answer(asked, text), "none can be used")

    async def test_addresses_of_nobody(self) -> None:
        """Filtering resolvers send 0.0.0.0, which would be this machine itself."""
        found = await self.said(lambda asked, _: answer(asked, a(NAME, "0.0.0.0"), a(NAME, "10.0.0.1")))
        self.assertEqual([each.value for each in found.answers], ["10.0.0.1"])
        await self.fails(lambda asked, _: answer(asked, a(NAME, "0.0.0.0")), "none can be used")

    async def test_half_of_what_was_sent_along(self) -> None:
        """It would be half of a target's addresses; the answer itself is whole."""
        along = [a("b.test", "10.0.0.2"), a("b.test", "10.0.0.3")]
        found = await self.said(
            lambda asked, _: answer(asked, srv(NAME, "b.test", 80), additional=along).toStr()[:-2], kind=SRV
        )
        self.assertEqual((len(found.answers), found.additional), (1, ()))

    async def test_unreadable(self) -> None:
        """A name that points at itself."""

        def script(asked: dns.Message, _: bool) -> bytes:
            loop = b"\xc0\x1a\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01"
            message = answer(asked, a(NAME, "10.0.0.1")).toStr()
            return message[:26] + loop

        await self.fails(script, "cannot be read")

    async def test_not_for_us(self) -> None:
        """Another id, another question, or no answer at all is passed over: the real one may still come."""
        for script in (
            lambda asked, _: answer(asked, a(NAME, "10.0.0.1"), id=asked.id ^ 1),
            lambda asked, _: answer(asked, a(NAME, "10.0.0.1"), answer=0),
            lambda asked, _: answer(asked, a("b.test", "10.0.0.1"), queries=[dns.Query("b.test", dns.A)]),
            lambda asked, _: answer(asked, a(NAME, "10.0.0.1"), queries=[dns.Query(NAME, dns.AAAA)]),
            lambda asked, _: answer(asked, a(NAME, "10.0.0.1"), queries=[]),
        ):
            await self.fails(script, "does not answer")

    async def test_nobody_listens(self) -> None:
        """That is a failure as well, and not an error."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        found = await self.questions.ask([Address("127.0.0.1", port)], NAME, A)
        self.assertIsInstance(found, Failed)

    async def test_why_each_of_them(self) -> None:
        """Whoever has two name servers learns what is wrong with both."""
        found = await self.said(lambda asked, _: answer(asked, rCode=dns.EREFUSED), lambda asked, _: None)
        self.assertRegex(found.reason, r"REFUSED\), name server .* does not answer")

    async def test_no_server(self) -> None:
        self.assertEqual(await self.questions.ask([], NAME, A), Failed("web.test A: there is no name server"))

    async def test_given_up(self) -> None:
        """Who cancels a question is told so at once, and no socket or timer is left (trial looks)."""
        self.patch(question, "PATIENCE", (30.0,))
        server = self.server(lambda asked, _: None)
        asking = self.questions.ask([server.address], NAME, A)
        asking.cancel()
        await self.assertFailure(asking, CancelledError)

    async def test_many_at_once(self) -> None:
        """More questions than there is room for are all answered."""
        server = self.server(lambda asked, _: answer(asked, a(NAME, "10.0.0.1")))
        self.patch(question, "PATIENCE", (5.0, 5.0))
        for asking in [self.questions.ask([server.address], NAME, A) for _ in range(100)]:
            self.assertIsInstance(await asking, Reply)
