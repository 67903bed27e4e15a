"""What is acceptable, and what is unsafe."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.conformance.strict import Stream, read_answers, read_requests
from bench.conformance.verdict import Came, Heard, Kind, Verdict, judge_answer, judge_request
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

    def kind(self, vector: RequestVector, back: Heard, data: bytes) -> Kind:
        return self.judge(vector, back, data).kind

    def test_kinds(self) -> None:
        """In doubt, the proxy is right; only what two readers read in two ways is unsafe."""
        good = RequestVector("a", "", SENT, reached=(Reached(b"POST", body=b"hello"),))
        bad = RequestVector("a", "", SENT, refused=frozenset((400,)), closes=True)
        self.assertEqual(self.kind(good, heard(OK), SENT), Kind.MEANT)
        self.assertEqual(self.kind(good, heard(answer(400)), b""), Kind.STRICT)
        self.assertEqual(self.kind(good, heard(answer(426)), b""), Kind.STRICT)
        self.assertEqual(self.kind(good, heard(b"", closed=False), b""), Kind.SILENT)
        self.assertEqual(self.kind(good, heard(OK), SENT + SENT), Kind.UNSAFE)
        self.assertEqual(self.kind(good, heard(OK), SENT.replace(b"hello", b"other")), Kind.UNSAFE)
        self.assertEqual(self.kind(bad, heard(answer(400)), b""), Kind.REFUSED)
        self.assertEqual(self.kind(bad, heard(answer(404)), b""), Kind.REFUSED)
        self.assertEqual(self.kind(bad, heard(b""), b""), Kind.REFUSED)
        self.assertEqual(self.kind(bad, heard(answer(400), kept=True), b""), Kind.LENIENT)
        self.assertEqual(self.kind(bad, heard(OK), SENT), Kind.LENIENT)
        self.assertEqual(self.kind(bad, heard(OK), SENT.replace(b"Host: x", b"Host: x\r\nHost: y")), Kind.UNSAFE)

    def test_kinds_in_doubt(self) -> None:
        old = SENT.replace(b"1.1", b"1.0")
        self.assertEqual(
            self.kind(RequestVector("a", "", old, reached=(Reached(),)), heard(answer(426)), b""), Kind.REFUSED
        )
        vector = RequestVector("a", "", old, reached=(Reached(b"POST", body=b"hello"),), doubtful=True)
        without = SENT.replace(b": 5", b": 0").replace(b"hello", b"")
        self.assertEqual(self.kind(vector, heard(OK), without), Kind.LENIENT)

    def test_spelling(self) -> None:
        vector = RequestVector("a", "", SENT, reached=(Reached(b"POST", (b"/a%c3|",), b"hello"),))
        for target, kind in ((b"/a%C3%7C", Kind.MEANT), (b"/a%C3%7D", Kind.LENIENT)):
            found = self.judge(vector, heard(OK), SENT.replace(b" / ", b" %b " % target))
            self.assertTrue(found.wrong)
            self.assertEqual(found.kind, kind)


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
        vector = AnswerVector("a", "", OK, faulty=True, cut=True, deceives=True)
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

    def test_kinds(self) -> None:
        good = AnswerVector("a", "", OK, Passed(body=b"hello"))
        bad = AnswerVector("a", "", OK, faulty=True)
        for vector, back, kind in (
            (good, heard(OK), Kind.MEANT),
            (good, heard(answer(502)), Kind.STRICT),
            (good, heard(b""), Kind.STRICT),
            (good, heard(b"", closed=False), Kind.SILENT),
            (good, heard(answer(200, b"other")), Kind.UNSAFE),
            (bad, heard(answer(502)), Kind.REFUSED),
            (bad, heard(b""), Kind.REFUSED),
            (bad, heard(b"HTTP/1.1 20 -\r\n\r\n"), Kind.LENIENT),
            (bad, heard(OK), Kind.LENIENT),
            (AnswerVector("a", "", OK, faulty=True, deceives=True), heard(OK), Kind.UNSAFE),
        ):
            self.assertEqual(self.judge(vector, back).kind, kind, (vector, back))
