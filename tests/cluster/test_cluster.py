"""Tests of wmesh.cluster.cluster: limits and refusals, and what live traffic does to instances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import BAD, GOOD, FirstUntried, a_cluster, a_member, a_record, a_spec, a_ticket
from wmesh.cluster.breaker import BreakerState
from wmesh.cluster.cluster import SETTLED, Cluster
from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.ticket import Ticket
from wmesh.events import (
    AdminStateChanged,
    BreakerChanged,
    EjectionChanged,
    Event,
    InstanceAdded,
    InstanceRemoved,
    InstancesReset,
    InstanceUpdated,
    WeightChanged,
)
from wmesh.model import AdaptiveSpec, AdminState, BreakerSpec, CheckSpec, Health, OutlierSpec, QueueSpec, ServiceSpec


def refusal(cluster: Cluster, *tried: Member) -> Refusal:
    got = cluster.whole.acquire(b"client", tried, 0.0)
    assert isinstance(got, Refusal), got
    return got


class LimitTests(SynchronousTestCase):
    def test_a_full_instance_is_passed_over(self) -> None:
        """Requests beyond an instance's limit go to the next one."""
        first, second = a_member("a"), a_member("b")
        first.most = 1
        cluster = a_cluster(first, second)
        self.assertEqual([a_ticket(cluster).member.record.id for _ in range(3)], ["a", "b", "b"])

    def test_a_full_service_refuses(self) -> None:
        """The bound over all instances holds, whatever each of them could still take."""
        cluster = a_cluster(a_member(), spec=a_spec(max_connections=2))
        held = a_ticket(cluster)
        a_ticket(cluster)
        self.assertEqual(refusal(cluster).reason, "service_full")
        held.release(Outcome.OK, 0.1)
        a_ticket(cluster)

    def test_a_retry_goes_elsewhere(self) -> None:
        """What was tried is not tried again."""
        first, second = a_member("a"), a_member("b")
        cluster = a_cluster(first, second)
        self.assertIs(a_ticket(cluster, first).member, second)
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

    def test_a_large_cluster_is_not_refreshed_at_every_change(self) -> None:
        """Of thousands of instances some change all the time. Who turned bad is not taken all the same; who is new
        waits for the next refresh, which comes within a fraction of a second."""
        directory = Directory([a_spec(check=CheckSpec(enabled=False))], lambda spec: FirstUntried(), lambda: 100.0)
        directory.apply(InstancesReset("registry", tuple(a_record(f"m{number:03}") for number in range(600))))
        cluster = directory.clusters["pricing"]
        self.assertEqual(a_ticket(cluster, now=100.0).member.record.id, "m000")
        directory.apply(InstanceRemoved("pricing", "m000", "deregistered"))
        directory.apply(AdminStateChanged("pricing", "m001", AdminState.DRAIN))
        directory.apply(InstanceAdded(a_record("a-new-one")))
        self.assertEqual(a_ticket(cluster, now=100.0).member.record.id, "m002")
        strategy = cluster.whole.strategy
        assert isinstance(strategy, FirstUntried)
        self.assertEqual(strategy.rebuilds, 1)
        self.assertEqual(a_ticket(cluster, now=100.1).member.record.id, "a-new-one")

    def test_only_who_may_have_changed_is_looked_at(self) -> None:
        """A refresh asks those whom something spoke against or for, or whose ramp or ejection time moves."""
        looked: list[str] = []
        refresh = Member.refresh

        def watched(member: Member, now: float) -> float:
            looked.append(member.record.id)
            return refresh(member, now)

        self.patch(Member, "refresh", watched)
        now = 100.0
        spec = a_spec(check=CheckSpec(enabled=False), slow_start=30.0)
        directory = Directory([spec], lambda spec: FirstUntried(), lambda: now)
        directory.apply(InstancesReset("registry", tuple(a_record(f"m{number}") for number in range(9))))
        cluster = directory.clusters["pricing"]
        cluster.refresh(now)
        self.assertEqual(len(looked), 9)
        looked.clear()
        directory.apply(InstanceRemoved("pricing", "m0", "deregistered"))
        directory.apply(AdminStateChanged("pricing", "m1", AdminState.DRAIN))
        now = 110.0
        directory.apply(InstanceAdded(a_record("n")))
        cluster.eject(cluster.members["m2"], "a test", True, now)
        for now in (110.0, 115.0):
            looked.clear()
            cluster.refresh(now)
            self.assertEqual(sorted(looked), ["m1", "m2", "n"])
            self.assertEqual([member.record.id for member in cluster.eligible], [f"m{n}" for n in range(3, 9)] + ["n"])
        self.assertGreater(cluster.members["n"].ramp, 0.1)
        directory.apply(AdminStateChanged("pricing", "m1", AdminState.READY))
        for now in (1000.0, 1100.0, 1200.0):
            looked.clear()
            cluster.refresh(now)
        self.assertEqual((looked, len(cluster.eligible)), ([], 9))

    def test_a_weight_counts_whoever_was_looked_at(self) -> None:
        """Weights come by records and from the operator; neither makes anybody doubtful."""
        directory = Directory([a_spec(check=CheckSpec(enabled=False))], lambda spec: FirstUntried(), lambda: 0.0)
        directory.apply(InstanceAdded(a_record("a")))
        cluster = directory.clusters["pricing"]
        cluster.refresh(0.0)
        for event, share in (
            (InstanceUpdated(a_record("a", weight=5)), 5.0),
            (WeightChanged("pricing", "a", 7), 7.0),
            (WeightChanged("pricing", "a", None), 5.0),
        ):
            directory.apply(event)
            self.assertTrue(cluster.stale)
            cluster.refresh(0.0)
            self.assertEqual(cluster.members["a"].share, share)

    def test_after_a_panic_nobody_is_forgotten(self) -> None:
        """Where `panic = none` let nobody serve, those who were well all the time serve again when enough are."""
        spec = a_spec(check=CheckSpec(enabled=False), panic="none", panic_threshold=50)
        directory = Directory([spec], lambda spec: FirstUntried(), lambda: 0.0)
        directory.apply(InstancesReset("registry", tuple(a_record(name) for name in "abc")))
        cluster = directory.clusters["pricing"]
        cluster.refresh(0.0)
        for name in "ab":
            cluster.eject(cluster.members[name], "a test", True, 0.0)
        for _ in range(2):
            cluster.refresh(0.0)
            self.assertEqual((cluster.panicking, cluster.eligible), (True, []))
        cluster.readmit(cluster.members["a"], "a test", 1.0)
        cluster.refresh(1.0)
        self.assertEqual([member.record.id for member in cluster.eligible], ["a", "c"])


class LiveCase(SynchronousTestCase):
    """A service whose instances come, are checked, asked and lost, as the gateway does it."""

    def make(self, *ids: str, **spec: Any) -> None:
        self.now = 1000.0
        self.events: list[Event] = []
        self.directory = Directory([a_spec(**spec)], lambda spec: FirstUntried(), lambda: self.now)
        self.directory.subscribe(self.events.append)
        self.cluster = self.directory.clusters["pricing"]
        for name in ids:
            self.add(name)

    @property
    def spec(self) -> ServiceSpec:
        return self.cluster.spec

    def add(self, id: str, ok: bool = True) -> Member:
        self.directory.apply(InstanceAdded(a_record(id)))
        member = self.cluster.members[id]
        if ok:
            self.directory.observe(member, GOOD)
        return member

    def failing(self, id: str, times: int = 1, outcome: Outcome = Outcome.SERVER_ERROR) -> None:
        """So many requests to this member fail."""
        member = self.cluster.members[id]
        for _ in range(times):
            self.held(member).release(outcome, self.now)

    def held(self, member: Member) -> Ticket:
        """A ticket of this member, whatever the strategy would say."""
        member.in_flight += 1
        self.cluster.in_flight += 1
        self.cluster.requests += 1
        return Ticket(self.cluster, member, self.now)

    def serving(self) -> list[str]:
        if self.cluster.stale or self.now >= self.cluster.review_at:
            self.cluster.refresh(self.now)
        return [member.record.id for member in self.cluster.whole.members]

    def ejections(self) -> list[tuple[str, float]]:
        return [(event.id, event.seconds) for event in self.events if isinstance(event, EjectionChanged)]


ROW = OutlierSpec(consecutive=5, ejection_time=10.0, max_ejection_time=30.0, max_ejected=50.0)
NO_BREAKER = BreakerSpec(enabled=False, ramp=0.0)


class EjectionTests(LiveCase):
    def test_a_row_of_failures(self) -> None:
        """The fifth in a row takes it out, though nothing else is known; a good answer between starts the row again."""
        self.make("a", "b", outlier=ROW, breaker=NO_BREAKER)
        self.failing("a", 4)
        self.held(self.cluster.members["a"]).release(Outcome.OK, self.now)
        self.failing("a", 4)
        self.assertEqual(self.serving(), ["a", "b"])
        self.failing("a")
        self.assertEqual((self.serving(), self.ejections()), (["b"], [("a", 10.0)]))
        self.assertIn("5 failures in a row", str(self.cluster.members["a"].reasons(self.now)))

    def test_only_what_counts(self) -> None:
        """Where a 500 is an answer like any other, a row of them is no row of failures."""
        self.make("a", "b", outlier=ROW, breaker=replace(NO_BREAKER, outcomes=("connect_failed",)))
        self.failing("a", 50)
        self.assertEqual(self.serving(), ["a", "b"])
        self.failing("a", 5, Outcome.CONNECT_FAILED)
        self.assertEqual(self.serving(), ["b"])

    def test_never_below_the_floor(self) -> None:
        """A lone instance is never taken out; of four, two stay."""
        self.make("a", outlier=ROW, breaker=NO_BREAKER)
        self.failing("a", 50)
        self.assertEqual(self.serving(), ["a"])
        self.make("a", "b", "c", "d", outlier=ROW, breaker=NO_BREAKER)
        for name in "abcd":
            self.failing(name, 20)
        self.assertEqual((self.serving(), len(self.ejections())), (["c", "d"], 2))

    def test_each_time_longer(self) -> None:
        """10, 20, 30, 30 seconds; it comes back by time alone, and time spent well makes up for it."""
        self.make("a", "b", outlier=ROW, breaker=NO_BREAKER)
        for seconds in (10.0, 20.0, 30.0, 30.0):
            self.failing("a", 5)
            self.assertEqual(self.ejections()[-1], ("a", seconds))
            self.now += seconds - 0.1
            self.assertEqual(self.serving(), ["b"])
            self.now += 0.1
            self.assertEqual(self.serving(), ["a", "b"])
            self.assertEqual(self.ejections()[-1], ("a", 0.0))
        self.now += 1000.0
        self.failing("a", 5)
        self.assertEqual(self.ejections()[-1], ("a", 10.0))

    def test_checks_that_prove_the_opposite_bring_it_back(self) -> None:
        """Where connections failed, two that are answered; where answers were bad, a good check proves nothing."""
        for outcome, back in ((Outcome.CONNECT_FAILED, ["a", "b"]), (Outcome.SERVER_ERROR, ["b"])):
            self.make("a", "b", outlier=ROW, breaker=NO_BREAKER)
            self.failing("a", 5, outcome)
            member = self.cluster.members["a"]
            self.directory.observe(member, GOOD)
            self.assertEqual(self.serving(), ["b"])
            self.directory.observe(member, GOOD)
            self.assertEqual(self.serving(), back, outcome)

    def test_a_failed_check_makes_good_ones_count(self) -> None:
        """Who failed a check while it was out, and then passes two, has shown that something changed."""
        self.make("a", "b", outlier=ROW, breaker=NO_BREAKER)
        self.failing("a", 5)
        member = self.cluster.members["a"]
        for result in (GOOD, GOOD, BAD, GOOD):
            self.directory.observe(member, result)
            self.assertEqual(self.serving(), ["b"])
        self.directory.observe(member, GOOD)
        self.assertEqual(self.serving(), ["a", "b"])

    def test_back_early_is_not_well_for_long(self) -> None:
        """Who answers checks and refuses traffic stays out longer each time, though checks end it early."""
        self.make("a", "b", outlier=ROW, breaker=NO_BREAKER)
        for seconds in (10.0, 20.0, 30.0):
            self.failing("a", 5, Outcome.RESET)
            self.assertEqual(self.ejections()[-1], ("a", seconds))
            self.now += 1.0
            for _ in range(2):
                self.directory.observe(self.cluster.members["a"], GOOD)
            self.assertEqual(self.serving(), ["a", "b"])

    def test_what_was_before_is_not_held_against_it(self) -> None:
        """Back early, it is not taken out again for failures that it was taken out for already."""
        self.make("a", "b", outlier=replace(ROW, min_calls=5), breaker=NO_BREAKER)
        self.failing("a", 5, Outcome.RESET)
        for _ in range(3):
            self.held(self.cluster.members["a"]).release(Outcome.RESET, self.now)  # they were on their way
        for _ in range(2):
            self.directory.observe(self.cluster.members["a"], GOOD)
        self.failing("a", 2)
        self.cluster.review(self.now + 0.5)
        self.assertEqual((self.serving(), len(self.ejections())), (["a", "b"], 2))

    def test_what_was_sent_before_is_not_held_against_it(self) -> None:
        """A request that was on its way when it was taken out, and fails when it is back, is no new evidence."""
        self.make("a", "b", outlier=ROW, breaker=replace(NO_BREAKER, ramp=10.0), timeout_first_byte=15.0)
        before = self.held(self.cluster.members["a"])
        self.now += 1.0
        self.failing("a", 5, Outcome.RESET)
        self.now += 10.0
        self.assertEqual(self.serving(), ["a", "b"])
        before.release(Outcome.TIMEOUT, self.now)
        self.assertEqual((self.serving(), len(self.ejections())), (["a", "b"], 2))
        self.assertIsNone(self.cluster.members["a"].latency.value(self.now))
        self.assertEqual(self.cluster.failures, 6)

    def test_probation_ends_with_an_answer(self) -> None:
        """Grown back, it still has no credit while its first request waits, and that time makes up for nothing. After
        one good answer, it takes a row again."""
        self.make("a", "b", outlier=ROW, breaker=replace(NO_BREAKER, ramp=1.0))
        member = self.cluster.members["a"]
        self.failing("a", 5)
        self.now += 10.0
        self.assertEqual(self.serving(), ["a", "b"])
        first = self.held(member)
        self.now += 15.0
        self.assertEqual(self.serving(), ["a", "b"])
        first.release(Outcome.TIMEOUT, self.now)
        self.assertEqual((self.serving(), self.ejections()[-1]), (["b"], ("a", 20.0)))
        self.now += 20.0
        self.assertEqual(self.serving(), ["a", "b"])
        self.held(member).release(Outcome.OK, self.now)
        self.now += 1.0
        self.assertEqual(self.serving(), ["a", "b"])
        self.failing("a", 4)
        self.assertEqual(self.serving(), ["a", "b"])
        self.failing("a")
        self.assertEqual(self.serving(), ["b"])

    def test_worse_than_the_others(self) -> None:
        """Found by the review, without any row; as many as can be spared, and no more."""
        self.make("a", "b", "c", "d", outlier=replace(ROW, consecutive=0), breaker=NO_BREAKER)
        for name in "abc":
            self.failing(name, 10)
            for _ in range(10):
                self.held(self.cluster.members[name]).release(Outcome.OK, self.now)
        for _ in range(60):
            self.held(self.cluster.members["d"]).release(Outcome.OK, self.now)
        self.cluster.review(self.now)
        self.assertEqual((self.ejections(), self.serving()), ([("a", 10.0), ("b", 10.0)], ["c", "d"]))

    def test_worse_again_after_a_while(self) -> None:
        """What the review finds makes it longer only where the time before was not spent well."""
        self.make("a", "b", outlier=replace(ROW, consecutive=0), breaker=replace(NO_BREAKER, ramp=1.0))
        for well, seconds in ((0.0, 10.0), (0.5, 20.0), (100.0, 10.0)):
            self.now += well
            self.serving()
            for _ in range(20):
                self.held(self.cluster.members["b"]).release(Outcome.OK, self.now)
            self.held(self.cluster.members["a"]).release(Outcome.OK, self.now)
            self.failing("a", 15)
            self.cluster.review(self.now)
            self.assertEqual(self.ejections()[-1], ("a", seconds))
            self.now += seconds
            self.assertEqual(self.serving(), ["a", "b"])

    def test_switched_off(self) -> None:
        """Then failures take nobody out."""
        self.make("a", "b", outlier=OutlierSpec(enabled=False), breaker=NO_BREAKER)
        self.failing("a", 100)
        self.cluster.review(self.now)
        self.assertEqual(self.serving(), ["a", "b"])


class BreakerTests(LiveCase):
    SPEC = BreakerSpec(min_calls=5, failures=5, reset_timeout=5.0, trials=2, ramp=10.0)
    NONE = OutlierSpec(enabled=False)

    def moves(self) -> list[tuple[str, str]]:
        return [(event.id, event.new) for event in self.events if isinstance(event, BreakerChanged)]

    def test_round_trip(self) -> None:
        """Failing, it is left alone; tried and found well, it comes back slowly. Each change is told once."""
        self.make("a", "b", breaker=self.SPEC, outlier=self.NONE)
        self.failing("a", 5)
        self.assertEqual(self.serving(), ["b"])
        self.now += 5.0
        for _ in range(2):
            held = self.cluster.whole.acquire(b"", (), self.now)
            assert isinstance(held, Ticket)
            self.assertEqual(held.member.record.id, "a")
            held.release(Outcome.OK, self.now)
        self.assertEqual(self.moves(), [("a", "open"), ("a", "half_open"), ("a", "closed")])
        self.assertEqual((self.serving(), self.cluster.members["a"].ramp), (["a", "b"], 0.1))
        self.now += 10.0
        self.assertEqual((self.serving(), self.cluster.members["a"].ramp), (["a", "b"], 1.0))

    def test_checks_that_failed_and_pass_again_have_it_tried(self) -> None:
        """Enough good checks after a bad one (too few for its health to change) end the wait; good ones alone prove
        nothing, for they passed before as well."""
        self.make("a", "b", breaker=self.SPEC, outlier=self.NONE)
        self.failing("a", 5)
        for result in (GOOD, GOOD, BAD, GOOD):
            self.directory.observe(self.cluster.members["a"], result)
            self.assertEqual(self.serving(), ["b"])
        self.directory.observe(self.cluster.members["a"], GOOD)
        self.assertEqual(self.serving(), ["a", "b"])
        self.assertEqual(self.moves(), [("a", "open"), ("a", "half_open")])

    def test_each_opening_wants_its_own_proof(self) -> None:
        """Tried on the word of checks and failing again, it waits its time: what they said then counts no more."""
        self.make("a", "b", breaker=self.SPEC, outlier=self.NONE)
        self.failing("a", 5)
        for result in (BAD, GOOD, GOOD):
            self.directory.observe(self.cluster.members["a"], result)
        held = self.cluster.whole.acquire(b"", (), self.now)
        assert isinstance(held, Ticket)
        held.release(Outcome.SERVER_ERROR, self.now)
        for _ in range(5):
            self.directory.observe(self.cluster.members["a"], GOOD)
        self.assertEqual(self.serving(), ["b"])

    def test_what_counts_can_be_chosen(self) -> None:
        """Where statuses of 500 are no failures, the breaker stays closed, but not where connections fail."""
        self.make("a", breaker=replace(self.SPEC, outcomes=("connect_failed",)), outlier=self.NONE)
        self.failing("a", 20)
        self.assertEqual(self.serving(), ["a"])
        self.failing("a", 40, Outcome.CONNECT_FAILED)
        self.assertEqual(self.serving(), [])

    def test_what_the_gateway_does_itself_never_counts(self) -> None:
        """Clients that leave are neither good nor bad."""
        self.make("a", breaker=self.SPEC, outlier=self.NONE)
        self.failing("a", 50, Outcome.CANCELLED)
        window = self.cluster.members["a"].breaker.window  # type: ignore[union-attr]
        self.assertEqual((self.serving(), window.calls), (["a"], 0))

    def test_a_tunnel_is_a_trial_that_went_well(self) -> None:
        """A WebSocket that was opened proves the instance, long before it ends; its end says nothing."""
        for scope in ("instance", "service"):
            self.make("a", breaker=replace(self.SPEC, scope=scope), outlier=self.NONE)
            self.failing("a", 5)
            self.now += 5.0
            held = []
            for _ in range(2):
                ticket = self.cluster.whole.acquire(b"", (), self.now)
                assert isinstance(ticket, Ticket), ticket
                ticket.prove(self.now)
                held.append(ticket)
            self.assertEqual(self.moves()[-1][1], "closed", scope)
            self.now += 3600.0
            for ticket in held:
                ticket.release(Outcome.CANCELLED, self.now)
                ticket.prove(self.now)
            self.assertEqual((self.serving(), self.cluster.in_flight), (["a"], 0))

    def test_a_tunnel_is_one_trial(self) -> None:
        """Proved twice, or closed at once, it counts once, and gives no trial back."""
        self.make("a", breaker=replace(self.SPEC, trials=3), outlier=self.NONE)
        self.failing("a", 5)
        self.now += 5.0
        tunnel, other = (self.cluster.whole.acquire(b"", (), self.now) for _ in range(2))
        assert isinstance(tunnel, Ticket) and isinstance(other, Ticket)
        tunnel.prove(self.now)
        tunnel.prove(self.now)
        tunnel.release(Outcome.CANCELLED, self.now)
        self.assertIsInstance(self.cluster.whole.acquire(b"", (), self.now), Ticket)
        self.assertIsInstance(self.cluster.whole.acquire(b"", (), self.now), Refusal)
        other.release(Outcome.OK, self.now)
        self.assertEqual(self.moves()[-1], ("a", "half_open"))


class SlowStartTests(LiveCase):
    def ramps(self) -> dict[str, float]:
        self.serving()
        return {name: round(member.ramp, 2) for name, member in self.cluster.members.items()}

    def test_all_new_at_the_start(self) -> None:
        """When the gateway starts, nobody is new among old ones: all have their whole share at once."""
        self.make("a", "b", "c")
        self.serving()
        self.now += 3.0
        self.add("d")
        self.assertEqual(self.ramps(), dict.fromkeys("abcd", 1.0))
        self.make("a", "b", check=CheckSpec(enabled=False))
        self.assertEqual(self.ramps(), {"a": 1.0, "b": 1.0})

    def test_a_newcomer_among_old_ones(self) -> None:
        """It begins with a tenth, of its limit as well, and has all of it after the time that is set."""
        self.make("a", slow_start=30.0, instance_max_connections=10)
        self.serving()
        self.now += SETTLED
        late = self.add("b")
        self.assertEqual((self.ramps(), late.limit, late.share), ({"a": 1.0, "b": 0.1}, 1, 0.1))
        self.now += 15.0
        self.assertEqual((self.ramps()["b"], late.limit), (0.5, 5))
        self.now += 15.0
        self.assertEqual((self.ramps()["b"], late.limit), (1.0, 10))

    def test_who_was_unhealthy_starts_slowly(self) -> None:
        """Back among others it is as good as new."""
        self.make("a", "b")
        self.serving()
        self.now += 100.0
        for result in (BAD, BAD, BAD, GOOD, GOOD):
            self.directory.observe(self.cluster.members["b"], result)
        self.assertEqual(self.ramps(), {"a": 1.0, "b": 0.1})

    def test_out_of_maintenance_it_starts_slowly(self) -> None:
        """Nobody knows what was done to it. Who was drained was checked all the time, and has all at once."""
        for state, ramp in ((AdminState.MAINT, 0.1), (AdminState.DRAIN, 1.0)):
            self.make("a", "b")
            self.serving()
            self.now += 100.0
            self.cluster.members["b"].latency.observe(2.0, self.now)
            self.directory.apply(AdminStateChanged("pricing", "b", state))
            self.assertEqual(self.serving(), ["a"])
            self.now += 1.0
            self.directory.apply(AdminStateChanged("pricing", "b", AdminState.READY))
            self.assertEqual(self.ramps(), {"a": 1.0, "b": ramp}, state)
            self.assertEqual(self.cluster.members["b"].latency.level, None if ramp < 1.0 else 2.0)

    def test_out_of_maintenance_and_not_well(self) -> None:
        """The slow start begins when it serves, which is when checks have found it well."""
        self.make("a", "b", breaker=BreakerSpec(min_calls=5, failures=5, reset_timeout=500.0))
        self.serving()
        self.now += 100.0
        self.failing("b", 5)
        member = self.cluster.members["b"]
        for result in (BAD, BAD, BAD):
            self.directory.observe(member, result)
        self.directory.apply(AdminStateChanged("pricing", "b", AdminState.MAINT))
        self.directory.apply(AdminStateChanged("pricing", "b", AdminState.READY))
        self.serving()
        assert member.breaker is not None
        self.assertEqual((member.ramp, member.breaker.state), (1.0, BreakerState.OPEN))
        self.now += 100.0
        for result in (GOOD, GOOD):
            self.directory.observe(member, result)
        self.assertEqual(self.ramps(), {"a": 1.0, "b": 0.1})

    def test_the_only_one_has_all(self) -> None:
        """After a time without anybody, the first one that comes bears the whole load at once."""
        self.make("a")
        self.serving()
        self.now += 100.0
        for result in (BAD, BAD, BAD):
            self.directory.observe(self.cluster.members["a"], result)
        self.directory.review()
        for _ in range(2):
            self.directory.observe(self.cluster.members["a"], GOOD)
        self.assertEqual(self.ramps(), {"a": 1.0})


class PanicTests(LiveCase):
    def sicken(self, *ids: str) -> None:
        for name in ids:
            for _ in range(3):
                self.directory.observe(self.cluster.members[name], BAD)

    def test_nobody_is_left(self) -> None:
        """All checks failing are believed less than that everybody is down; who was never well is not asked."""
        self.make("a", "b")
        self.add("new", ok=False)
        self.sicken("a", "b")
        self.assertEqual((self.serving(), self.cluster.panicking), (["a", "b"], True))

    def test_the_operators_will_and_breakers_hold(self) -> None:
        """Panic overrules evidence, never the operator, nor an open breaker."""
        self.make("a", "b", "c", breaker=BreakerSpec(min_calls=5), outlier=OutlierSpec(enabled=False))
        self.failing("c", 5)
        self.cluster.members["b"].admin = AdminState.DRAIN
        self.sicken("a")
        self.assertEqual(self.serving(), ["a"])

    def test_the_threshold(self) -> None:
        """Below half of them: all, or with panic = none nobody at all; at half, the well ones alone."""
        for panic, few in (("any", ["a", "b", "c", "d"]), ("none", [])):
            self.make("a", "b", "c", "d", panic=panic, panic_threshold=50)
            self.sicken("c", "d")
            self.assertEqual((self.serving(), self.cluster.panicking), (["a", "b"], False))
            self.sicken("b")
            self.assertEqual((self.serving(), self.cluster.panicking), (few, True))

    def test_too_few_to_serve(self) -> None:
        """Where panic = none refuses though some are well, the refusal does not say that none is."""
        self.make("a", "b", "c", panic="none", panic_threshold=50)
        self.sicken("b", "c")
        refused = refusal(self.cluster)
        self.assertEqual(refused.reason, "no_healthy_instance")
        self.assertIn("only 1 of 3 instances may take requests: panic_threshold is 50 %", refused.detail)

    def test_no_panic_at_all(self) -> None:
        """Without a threshold, none means that nobody serves once nobody is well."""
        self.make("a", "b", panic="none")
        self.sicken("a")
        self.assertEqual(self.serving(), ["b"])
        self.sicken("b")
        self.assertEqual(self.serving(), [])


class ExpectationTests(LiveCase):
    def refused(self) -> Refusal:
        got = self.cluster.whole.acquire(b"", (), self.now)
        assert isinstance(got, Refusal), got
        return got

    def test_who_was_there_a_moment_ago(self) -> None:
        """A service that served until now and lost its last instance is likely to be back: requests may wait. A minute
        later that is no longer likely, however quiet it was before."""
        self.make("a", queue=QueueSpec(100, 5.0))
        self.serving()
        self.now += 3600.0  # nothing changes for an hour
        self.directory.apply(InstanceRemoved("pricing", "a", "deregistered"))
        self.assertTrue(self.refused().passing)
        self.now += 5.0
        self.assertFalse(self.refused().passing)

    def test_who_never_was_there(self) -> None:
        """Nobody is expected, unless the mesh launches it itself."""
        self.make()
        self.assertFalse(self.refused().passing)
        self.make(command=("pricing",))
        self.assertTrue(self.refused().passing)

    def test_starting(self) -> None:
        """One that is about to pass its first check is worth waiting for; one that is kept out by will is not."""
        self.make()
        member = self.add("a", ok=False)
        self.assertEqual((self.refused().reason, self.refused().passing), ("starting", True))
        member.admin = AdminState.MAINT
        self.assertEqual((self.refused().reason, self.refused().passing), ("no_healthy_instance", False))


class AdaptiveTests(LiveCase):
    def test_the_limit_moves_within_what_the_operator_allows(self) -> None:
        """It begins small, grows with use, and never passes max_connections."""
        self.make("a", adaptive=AdaptiveSpec(True, 5, 1000), max_connections=30)
        self.assertEqual(self.cluster.limit, 20)
        for _ in range(100):
            self.now += 0.3
            held = [self.cluster.whole.acquire(b"", (), self.now) for _ in range(self.cluster.limit)]
            for ticket in held:
                assert isinstance(ticket, Ticket)
                ticket.release(Outcome.OK, self.now + 0.01)
        self.assertEqual(self.cluster.limit, 30)
