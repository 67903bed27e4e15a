"""The memory of heads that come again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.wire.memo import Memo


class MemoTests(SynchronousTestCase):
    def test_the_second_meeting_counts(self) -> None:
        """What comes once leaves nothing behind; what comes twice is kept."""
        memo: Memo[int] = Memo(4, 100)
        memo.met(b"once", 1)
        self.assertEqual(memo.get(b"once"), None)
        memo.met(b"once", 1)
        self.assertEqual(memo.get(b"once"), 1)

    def test_bounded(self) -> None:
        """However many different heads clients send twice, no more than the given number is kept."""
        memo: Memo[int] = Memo(4, 100)
        for number in range(1000):
            for _ in range(2):
                memo.met(b"%d" % number, number)
            self.assertLessEqual(len(memo), 4)
        self.assertEqual(memo.get(b"999"), 999)

    def test_long_keys_are_not_kept(self) -> None:
        """A head that is too long is read anew each time."""
        memo: Memo[int] = Memo(4, 8)
        for _ in range(3):
            memo.met(b"123456789", 1)
            memo.met(b"12345678", 2)
        self.assertEqual(dict(memo), {b"12345678": 2})

    def test_a_flood_of_different_heads(self) -> None:
        """Heads that come once each do not push out what is popular, and what is noted of them is bounded."""
        memo: Memo[int] = Memo(4, 100)
        for _ in range(2):
            memo.met(b"popular", 7)
        for number in range(10_000):
            memo.met(b"%d" % number, number)
        self.assertEqual(memo.get(b"popular"), 7)
        self.assertLessEqual(len(memo._seen), 32)

    def test_one_stranger_in_four(self) -> None:
        """Most strangers are passed over; who keeps coming is kept all the same, before long."""
        memo: Memo[int] = Memo(4, 100, 4)
        for number in range(1000):
            memo.met(b"%d" % number, number)
        self.assertLessEqual(len(memo._seen), 32)
        for _ in range(8):
            memo.met(b"popular", 7)
        self.assertEqual(memo.get(b"popular"), 7)

    def test_a_share_that_cannot_be_had(self) -> None:
        """One in three would need a division for each stranger."""
        for one_in in (0, 3, -4):
            self.assertRaises(ValueError, Memo, 4, 100, one_in)
