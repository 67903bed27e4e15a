"""What is acceptable, and what is unsafe."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.conformance.strict import Stream, read_answers, read_requests
from bench.conformance.verdict import Came, Heard, Verdict, judge_answer, judge_request
from tests.vectors.vector import CUT, AnswerVector, Passed, Reached, RequestVector

SENT = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def answer(status: int, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def heard(data: bytes, *, kept: bool = False, closed: bool = True) -> Heard:
    return Heard(read_answers(data, [], True), kept, closed)


def came(data: bytes) -> Came:
    stream = read_requests(data)
    return Came(stream.messages, bool(stream.rest), stream.flaw)


class RequestTests(SynchronousTestCase):
    def judge(self, vector: RequestVector, back: Heard, data: bytes, strictly: bool = False) -> Verdict:
        return judge_request(vector, back, came(data), strictly)

    def test_refused(self) -> None:
        vector = RequestVector("a", "", SENT, refused=frozenset((400, CUT)), closes=True)
        self.assertFalse(self.judge(vector, heard(answer(400)), b"").wrong)
        self.assertFalse(self.judge(vector, heard(b""), b"").wrong)
        self.assertTrue(self.judge(vector, heard(b""), b"", strictly=True).wrong)
        self.assertTrue(self.judge(vector, heard(b"", closed=False), b"").wrong)
        self.assertTrue(self.judge(vector, heard(answer(400), kept=True), b"").wrong)
        self.assertTrue(self.judge(vector, heard(answer(404)), b"").wrong)
        forwarded = self.judge(vector, heard(OK), SENT)
        self.assertTrue(forwarded.wrong)
        self.assertFalse(forwarded.unsafe)

    def test_forwarded(self) -> None:
        right = Reached(b"POST", body=b"hello", absent=(b"x-a",), ours_absent=(b"x-b",))
        vector = RequestVector("a", "", SENT, reached=(right,))
        self.assertFalse(self.judge(vector, heard(OK), SENT).wrong)
        self.assertTrue(self.judge(vector, heard(answer(400)), b"").wrong)
        self.assertTrue(self.judge(vector, heard(answer(502)), SENT).wrong)
        self.assertTrue(self.judge(vector, heard(OK), SENT.replace(b"Host", b"X-A: b\r\nHost")).wrong)
        with_b = SENT.replace(b"Host", b"X-B: b\r\nHost")
        self.assertFalse(self.judge(vector, heard(OK), with_b).wrong)
        self.assertTrue(self.judge(vector, heard(OK), with_b, strictly=True).wrong)

    def test_unsafe(self) -> None:
        vector = RequestVector("a", "", SENT, reached=(Reached(b"POST", body=b"hello"),))
        self.assertIn("2 requests", self.judge(vector, heard(OK), SENT + SENT).unsafe)
        self.assertIn("body", self.judge(vector, heard(OK), SENT.replace(b"hello", b"other")).unsafe)
        self.assertIn(
            "framed", self.judge(vector, heard(OK), SENT.replace(b"Host", b"Content-Length: 5\r\nHost")).unsafe
        )


class AnswerTests(SynchronousTestCase):
    def judge(self, vector: AnswerVector, back: Heard) -> Verdict:
        return judge_answer(vector, back, strictly=False)

    def test_passed(self) -> None:
        vector = AnswerVector("a", "", OK, Passed(body=b"hello"))
        self.assertFalse(self.judge(vector, heard(OK)).wrong)
        self.assertTrue(self.judge(vector, heard(answer(502))).wrong)
        self.assertTrue(self.judge(vector, heard(answer(200, b"hell"))).unsafe)
        self.assertTrue(self.judge(vector, heard(OK + answer(200, b"poison"))).unsafe)
        self.assertFalse(self.judge(vector, heard(OK + answer(502))).unsafe)

    def test_broken(self) -> None:
        vector = AnswerVector("a", "", OK, faulty=True, cut=True)
        self.assertFalse(self.judge(vector, heard(answer(502))).wrong)
        self.assertFalse(self.judge(vector, Heard(Stream((), OK[:-1]), kept=False, closed=True)).wrong)
        self.assertTrue(self.judge(vector, Heard(Stream((), OK[:-1]), kept=False, closed=False)).wrong)
        self.assertTrue(self.judge(vector, heard(OK)).unsafe)

    def test_broken_without_a_word(self) -> None:
        """wmesh sends what it has before it cuts: only a reset may have taken it along."""
        vector = AnswerVector("a", "", OK, faulty=True, cut=True)
        for reset in (False, True):
            found = judge_answer(vector, Heard(Stream((), b""), kept=False, closed=True, reset=reset), strictly=True)
            self.assertEqual(found.wrong, "" if reset else "closed without a word")
