"""Tests of wmesh.cluster.ticket: what is counted when an attempt is over."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_cluster, a_member, a_spec, a_ticket
from wmesh.cluster.breaker import HALF_OPEN, Breaker
from wmesh.cluster.cluster import NEVER
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.ticket import Ticket
from wmesh.model import BreakerSpec, OutlierSpec


class TicketTests(SynchronousTestCase):
    def test_acquire_and_release_pair(self) -> None:
        """What is in flight is counted while it is, at the instance and at the service, and never twice."""
        member = a_member()
        cluster = a_cluster(member)
        held = a_ticket(cluster)
        self.assertIs(held.member, member)
        self.assertEqual((member.in_flight, cluster.in_flight, member.picks, cluster.requests), (1, 1, 1, 1))
        held.release(Outcome.OK, 0.2)
        held.release(Outcome.RESET, 0.3)
        self.assertEqual((member.in_flight, cluster.in_flight, cluster.failures), (0, 0, 0))

    def test_a_good_answer_is_measured(self) -> None:
        """Strategies learn how long the instance took."""
        cluster = a_cluster(member := a_member())
        a_ticket(cluster, now=1.0).release(Outcome.OK, 1.25)
        self.assertEqual(member.latency.value(1.25), 0.25)

    def test_a_failure_never_looks_fast(self) -> None:
        """An instance that refuses in a millisecond is charged with the longest wait, or it would attract traffic."""
        failures = [outcome for outcome in Outcome if Outcome.OK < outcome < Outcome.CANCELLED]
        for outcome in failures:
            cluster = a_cluster(member := a_member(), spec=a_spec(timeout_first_byte=15.0))
            a_ticket(cluster, now=0.0).release(outcome, 0.001)
            self.assertEqual((member.failures, cluster.failures), (1, 1))
            self.assertEqual(member.latency.value(0.001), 15.0)

    def test_a_client_that_leaves_is_no_evidence(self) -> None:
        """An instance is not blamed for impatient clients."""
        cluster = a_cluster(member := a_member())
        a_ticket(cluster).release(Outcome.CANCELLED, 30.0)
        self.assertEqual((member.failures, member.in_flight), (0, 0))
        self.assertIsNone(member.latency.value(30.0))

    def test_another_was_faster(self) -> None:
        """It took at least so long: that is charged as what it is, slowness, and never as a failure."""
        cluster = a_cluster(member := a_member())
        a_ticket(cluster, now=1.0).release(Outcome.OK, 1.1)
        held = a_ticket(cluster, now=2.0)
        held.outrun(4.0)
        held.outrun(9.0)
        self.assertEqual((member.in_flight, cluster.in_flight), (0, 0))
        self.assertEqual((member.failures, cluster.failures, member.latency.value(4.0)), (0, 0, 2.0))
        assert member.breaker is not None
        window = member.breaker.window
        self.assertEqual((window.calls, window.failures), (2, 0))
        self.assertAlmostEqual(window.seconds, 2.1)

    def test_another_was_faster_at_once(self) -> None:
        """Less than is usual proves nothing, and makes nobody look fast."""
        cluster = a_cluster(member := a_member())
        a_ticket(cluster, now=1.0).release(Outcome.OK, 2.0)
        a_ticket(cluster, now=2.0).outrun(2.001)
        self.assertAlmostEqual(member.latency.value(2.001) or 0.0, 1.0, 2)
        assert member.breaker is not None
        self.assertEqual((member.breaker.window.calls, member.in_flight), (1, 0))

    def test_a_trial_that_was_outrun(self) -> None:
        """A half-open breaker has learned nothing, and may be tried again."""
        cluster = a_cluster(member := a_member(), spec=a_spec(outlier=OutlierSpec(enabled=False)))
        member.breaker = Breaker(BreakerSpec(min_calls=1, failures=1, trials=1, reset_timeout=1.0), float, 0.0)
        a_ticket(cluster, now=0.0).release(Outcome.RESET, 0.1)
        held = a_ticket(cluster, now=2.0)
        assert member.breaker is not None
        self.assertEqual((member.breaker.state, member.breaker.trying), (HALF_OPEN, False))
        held.outrun(30.0)
        self.assertEqual((member.breaker.state, member.breaker.trying), (HALF_OPEN, True))


class ReleasedTests(SynchronousTestCase):
    def test_after_its_instance_is_gone(self) -> None:
        """Tickets of an instance that left are still counted down, and wake who waits for the service."""
        cluster = a_cluster(a_member("a"), a_member("b"), spec=a_spec(max_connections=1))
        held = cluster.whole.acquire(b"", (), 0.0)
        assert isinstance(held, Ticket)
        del cluster.members["a"]
        cluster.stale = True
        told: list[Ticket | Refusal] = []
        cluster.whole.wait(b"", (), 0.0, "", NEVER, told.append, told.append)
        held.release(Outcome.OK, 0.1)
        [granted] = told
        assert isinstance(granted, Ticket)
        self.assertEqual((granted.member.record.id, cluster.in_flight), ("b", 1))
