"""Keep or drop, and when to ask again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import Address
from wmesh.policy.naming import Answer, Knowledge, NamingSpec
from wmesh.policy.records import Absent, Failed, Place

ONE = (Place(Address("10.0.0.1", 80)),)
TWO = (*ONE, Place(Address("10.0.0.2", 80)))
DENIED = Absent("NXDOMAIN")


class KnowledgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.known = Knowledge(NamingSpec(hold=30.0))

    def answered(self, now: float = 0.0, ttl: float = 20.0) -> None:
        self.known.take(Answer(TWO, ttl), now, 0.0)

    def test_at_first(self) -> None:
        """Nothing is known, and nothing is wrong."""
        self.assertEqual((self.known.places, self.known.age(5.0), self.known.stale(5.0)), ((), None, False))

    def test_answers_are_believed(self) -> None:
        """What they add and what they remove, at once."""
        self.answered()
        self.assertEqual(self.known.places, TWO)
        self.known.take(Answer(ONE, 20.0), 5.0, 0.0)
        self.assertEqual((self.known.places, self.known.age(7.0), self.known.problem), (ONE, 2.0, ""))

    def test_pause_is_the_ttl(self) -> None:
        """Shortened by chance, and within floor and ceiling."""
        for ttl, chance, pause in ((20, 0, 20), (20, 0.5, 19), (0, 0, 1), (0, 0.9, 1), (1, 0.9, 1), (1e6, 0, 300)):
            self.assertAlmostEqual(self.known.take(Answer(ONE, ttl), 0.0, chance), pause)

    def test_failures_take_nothing_away(self) -> None:
        """However many, and however long; the pauses grow up to half a minute, and an answer ends it all."""
        self.answered()
        pauses, now = [], 20.0
        for _ in range(100):
            pauses.append(self.known.take(Failed("SERVFAIL"), now, 0.0))
            now += 1000.0
        self.assertEqual(pauses[:7], [1, 2, 4, 8, 16, 30, 30])
        self.assertEqual((self.known.places, self.known.problem), (TWO, "SERVFAIL"))
        self.answered(now)
        self.assertEqual((self.known.problem, self.known.stale(now)), ("", False))
        self.assertEqual(self.known.take(Failed("SERVFAIL"), now, 0.0), 1)

    def test_stale(self) -> None:
        """What failed to be renewed is stale once its TTL is over."""
        self.answered(0.0, 20.0)
        self.known.take(Failed("late"), 19.0, 0.0)
        self.assertEqual([self.known.stale(19.5), self.known.stale(20.5)], [False, True])

    def test_denials_are_held(self) -> None:
        """Until they were many enough and for long enough: neither one late one nor many quick ones do."""
        self.answered()
        self.known.take(DENIED, 20.0, 0.0)
        self.assertEqual((self.known.places, self.known.doubtful, self.known.stale(20.0)), (TWO, True, True))
        self.known.take(DENIED, 60.0, 0.0)
        self.assertEqual(self.known.places, TWO)
        self.known.take(DENIED, 61.0, 0.0)
        self.assertEqual((self.known.places, self.known.doubtful), ((), False))

        self.answered(100.0)
        for number in range(50):
            self.known.take(DENIED, 101.0 + number * 0.5, 0.0)
        self.assertEqual(self.known.places, TWO)
        self.known.take(DENIED, 131.0, 0.0)
        self.assertEqual(self.known.places, ())

    def test_an_answer_forgives_denials(self) -> None:
        """They are counted anew then."""
        self.answered()
        for now in (1.0, 2.0):
            self.known.take(DENIED, now, 0.0)
        self.answered(3.0)
        for now in (40.0, 41.0):
            self.known.take(DENIED, now, 0.0)
        self.assertEqual(self.known.places, TWO)

    def test_failures_between_denials(self) -> None:
        """They neither count as denials nor forgive them."""
        self.answered()
        for now, outcome in ((1.0, DENIED), (20.0, Failed("late")), (40.0, Failed("late")), (50.0, DENIED)):
            self.known.take(outcome, now, 0.0)
            self.assertEqual(self.known.places, TWO)
        self.known.take(DENIED, 51.0, 0.0)
        self.assertEqual(self.known.places, ())

    def test_denied_on_purpose(self) -> None:
        """That is believed at once."""
        self.answered()
        self.known.take(Absent("target .", final=True), 1.0, 0.0)
        self.assertEqual((self.known.places, self.known.problem), ((), "target ."))

    def test_no_hold(self) -> None:
        """The operator believes the DNS, and so do we."""
        self.known = Knowledge(NamingSpec(hold=0.0))
        self.answered()
        self.known.take(DENIED, 1.0, 0.0)
        self.assertEqual(self.known.places, ())

    def test_never_answered(self) -> None:
        """Then there is nothing to hold; it is asked for again and again."""
        self.assertEqual([self.known.take(DENIED, now, 0.0) for now in (0.0, 1.0, 3.0)], [1, 2, 4])
        self.assertEqual((self.known.places, self.known.doubtful), ((), False))

    def test_half_an_answer(self) -> None:
        """It is believed, shown as a problem, and asked again before its TTL ends, later each time."""
        half = Answer(ONE, 100.0, "AAAA: late")
        self.assertEqual([self.known.take(half, now, 0.0) for now in (0.0, 1.0, 3.0)], [1, 2, 4])
        self.assertEqual((self.known.places, self.known.problem), (ONE, "AAAA: late"))
