"""Tests of wmesh.cluster.cluster: tickets and refusals."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import FirstUntried, a_cluster, a_member, a_spec
from wmesh.cluster.cluster import Cluster, Outcome, Refusal, Ticket
from wmesh.cluster.member import Member
from wmesh.model import AdminState, Health


def ticket(cluster: Cluster, *tried: Member, now: float = 0.0) -> Ticket:
    got = cluster.whole.acquire(b"client", tried, now)
    assert isinstance(got, Ticket), got
    return got


def refusal(cluster: Cluster, *tried: Member) -> Refusal:
    got = cluster.whole.acquire(b"client", tried, 0.0)
    assert isinstance(got, Refusal), got
    return got


class TicketTests(SynchronousTestCase):
    def test_acquire_and_release_pair(self) -> None:
        """What is in flight is counted while it is, at the instance and at the service, and never twice."""
        member = a_member()
        cluster = a_cluster(member)
        held = ticket(cluster)
        self.assertIs(held.member, member)
        self.assertEqual((member.in_flight, cluster.in_flight, member.picks, cluster.requests), (1, 1, 1, 1))
        held.release(Outcome.OK, 0.2)
        held.release(Outcome.RESET, 0.3)
        self.assertEqual((member.in_flight, cluster.in_flight, cluster.failures), (0, 0, 0))

    def test_a_good_answer_is_measured(self) -> None:
        """Strategies learn how long the instance took."""
        cluster = a_cluster(member := a_member())
        ticket(cluster, now=1.0).release(Outcome.OK, 1.25)
        self.assertEqual(member.latency.value(1.25), 0.25)

    def test_a_failure_never_looks_fast(self) -> None:
        """An instance that refuses in a millisecond is charged with the longest wait, or it would attract traffic."""
        failures = [outcome for outcome in Outcome if Outcome.OK < outcome < Outcome.CANCELLED]
        for outcome in failures:
            cluster = a_cluster(member := a_member(), spec=a_spec(timeout_first_byte=15.0))
            ticket(cluster, now=0.0).release(outcome, 0.001)
            self.assertEqual((member.failures, cluster.failures), (1, 1))
            self.assertEqual(member.latency.value(0.001), 15.0)

    def test_a_client_that_leaves_is_no_evidence(self) -> None:
        """An instance is not blamed for impatient clients."""
        cluster = a_cluster(member := a_member())
        ticket(cluster).release(Outcome.CANCELLED, 30.0)
        self.assertEqual((member.failures, member.in_flight), (0, 0))
        self.assertIsNone(member.latency.value(30.0))


class LimitTests(SynchronousTestCase):
    def test_a_full_instance_is_passed_over(self) -> None:
        """Requests beyond an instance's limit go to the next one."""
        first, second = a_member("a"), a_member("b")
        first.most = 1
        cluster = a_cluster(first, second)
        self.assertEqual([ticket(cluster).member.record.id for _ in range(3)], ["a", "b", "b"])

    def test_a_full_service_refuses(self) -> None:
        """The bound over all instances holds, whatever each of them could still take."""
        cluster = a_cluster(a_member(), spec=a_spec(max_connections=2))
        held = ticket(cluster)
        ticket(cluster)
        self.assertEqual(refusal(cluster).reason, "service_full")
        held.release(Outcome.OK, 0.1)
        ticket(cluster)

    def test_a_retry_goes_elsewhere(self) -> None:
        """What was tried is not tried again."""
        first, second = a_member("a"), a_member("b")
        cluster = a_cluster(first, second)
        self.assertIs(ticket(cluster, first).member, second)
        self.assertEqual(refusal(cluster, first, second).reason, "all_tried")


class RefusalTests(SynchronousTestCase):
    def test_why_nobody_can_take_it(self) -> None:
        """Each way of having nobody has its own word, for programs, and a sentence with the facts, for people."""
        full = a_member(in_flight=1)
        full.most = 1
        drained = a_member()
        drained.admin = AdminState.DRAIN
        table: list[tuple[list[Member], str, str]] = [
            ([], "no_instances", "no instance"),
            ([full], "instances_full", "limit"),
            ([a_member(health=Health.UNKNOWN)], "starting", "starting"),
            ([a_member("a", health=Health.UNKNOWN), a_member("b", health=Health.UNHEALTHY)], "starting", "starting"),
            ([a_member(health=Health.UNHEALTHY)], "no_healthy_instance", "none of 1"),
            ([drained], "no_healthy_instance", "none of 1"),
        ]
        for members, reason, words in table:
            cluster = a_cluster(*members, spec=a_spec(panic="none", panic_threshold=1))
            refused = refusal(cluster)
            self.assertEqual(refused.reason, reason)
            self.assertIn(words, refused.detail)
            self.assertGreaterEqual(refused.retry_after, 1)
            self.assertEqual((cluster.refusals, cluster.requests, cluster.in_flight), (1, 0, 0))


class RefreshTests(SynchronousTestCase):
    def test_the_strategy_sees_only_who_may_serve_in_a_stable_order(self) -> None:
        """Unhealthy and drained instances are no choice at all, and the order does not depend on who came first."""
        drained = a_member("c")
        drained.admin = AdminState.DRAIN
        cluster = a_cluster(a_member("z"), drained, a_member("b", health=Health.UNHEALTHY), a_member("a"))
        strategy = cluster.whole.strategy
        assert isinstance(strategy, FirstUntried)
        self.assertEqual([member.record.id for member in strategy.members], ["a", "z"])
