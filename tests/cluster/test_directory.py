"""Tests of wmesh.cluster.directory: what events change, and who hears of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import BAD, GOOD, FirstUntried, a_record, a_spec
from wmesh.cluster.directory import Directory
from wmesh.cluster.member import Member, Standing
from wmesh.events import (
    AdminStateChanged,
    Event,
    HealthChanged,
    InstanceAdded,
    InstanceRemoved,
    InstancesReset,
    InstanceUpdated,
    LoadReported,
    WeightChanged,
)
from wmesh.model import Address, AdminState, Health, InstanceRecord, LoadSample


class DirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = 0.0
        self.heard: list[Event] = []
        self.directory = Directory([a_spec(), a_spec("api")], lambda spec: FirstUntried(), lambda: self.now)
        self.directory.subscribe(self.heard.append)

    def put(self, *records: InstanceRecord, origin: str = "registry") -> None:
        self.directory.apply(InstancesReset(origin, records))

    def member(self, id: str = "p1") -> Member:
        member = self.directory.member("pricing", id)
        assert member is not None
        return member

    def choices(self) -> list[str]:
        """Whom the strategy of pricing may choose now."""
        cluster = self.directory.clusters["pricing"]
        if cluster.stale:
            cluster.refresh(self.now)  # as the next request would
        strategy = cluster.whole.strategy
        assert isinstance(strategy, FirstUntried)
        return [member.record.id for member in strategy.members]

    def test_a_new_instance_is_told_and_waits_for_its_check(self) -> None:
        """Registered is not yet eligible; the first good check makes it so."""
        self.directory.apply(InstanceAdded(a_record()))
        self.assertEqual(self.choices(), [])
        self.directory.observe(self.member(), GOOD)
        self.assertEqual(self.choices(), ["p1"])
        self.assertEqual(
            self.heard,
            [InstanceAdded(a_record()), HealthChanged("pricing", "p1", Health.UNKNOWN, Health.HEALTHY, "status 200")],
        )

    def test_what_changes_nothing_is_heard_by_nobody(self) -> None:
        """Registering the same again, setting the state that is, removing what is not there: silence."""
        self.put(a_record())
        del self.heard[:]
        self.put(a_record())
        self.directory.apply(InstanceAdded(a_record()))
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.READY))
        self.directory.apply(InstanceRemoved("pricing", "p9", "deregistered"))
        self.directory.apply(InstanceRemoved("unheard-of", "p1", "deregistered"))
        self.assertEqual(self.heard, [])

    def test_a_reset_is_a_difference(self) -> None:
        """After a reconnect, who stayed keeps health and requests in flight; who left is gone; who came is new."""
        self.put(a_record("p1"), a_record("p2"))
        self.directory.observe(self.member(), GOOD)
        kept = self.member()
        kept.in_flight = 3
        del self.heard[:]
        self.put(a_record("p1"), a_record("p3"))
        self.assertIs(self.member(), kept)
        self.assertIs(kept.health.state, Health.HEALTHY)
        self.assertEqual(
            self.heard, [InstanceRemoved("pricing", "p2", "not registered"), InstanceAdded(a_record("p3"))]
        )

    def test_a_reset_speaks_only_for_its_own_origin(self) -> None:
        """An empty registry takes nothing away from what the configuration lists."""
        self.put(a_record("fixed", origin="static"), origin="static")
        self.put(a_record("leased"))
        self.put()
        self.assertEqual(list(self.directory.clusters["pricing"].members), ["fixed"])

    def test_an_update_keeps_the_evidence(self) -> None:
        """Another weight is no other instance: it goes on serving, and the strategy hears of the weight."""
        self.put(a_record())
        self.directory.observe(self.member(), GOOD)
        kept = self.member()
        del self.heard[:]
        self.directory.apply(InstanceUpdated(a_record(weight=9)))
        self.assertIs(self.member(), kept)
        self.assertEqual((kept.weight, kept.share, kept.health.state), (9, 9.0, Health.HEALTHY))
        self.assertEqual(self.heard, [InstanceUpdated(a_record(weight=9))])

    def test_another_life_is_another_instance(self) -> None:
        """A restarted instance, or one that moved, starts without health and without the old one's numbers."""
        lives = [
            a_record(),
            a_record(incarnation="life-2"),
            a_record(incarnation="life-2", address=Address("10.0.0.9", 1)),
        ]
        for record in lives:
            self.directory.apply(InstanceAdded(record))
            self.assertIs(self.member().health.state, Health.UNKNOWN)
            self.directory.observe(self.member(), GOOD)
        removed = [event for event in self.heard if isinstance(event, InstanceRemoved)]
        self.assertEqual(removed, [InstanceRemoved("pricing", "p1", "replaced")] * 2)

    def test_sources_of_a_family_hand_over(self) -> None:
        """Between them an instance stays the same; from any other source it is another one."""
        self.put(a_record(origin="named/pricing/dns:a:1"), origin="named/pricing/dns:a:1")
        self.directory.observe(self.member(), GOOD)
        kept = self.member()
        self.directory.apply(InstanceUpdated(a_record(origin="named/pricing/dns:b:1")))
        self.put(origin="named/pricing/dns:a:1")
        self.assertIs(self.member(), kept)
        self.assertIs(kept.health.state, Health.HEALTHY)
        self.directory.apply(InstanceAdded(a_record(origin="registry")))
        self.assertIs(self.member().health.state, Health.UNKNOWN)

    def test_results_of_the_dead_are_ignored(self) -> None:
        """A check that was under way when the instance left changes nothing, not even for its successor."""
        self.put(a_record())
        old = self.member()
        self.directory.apply(InstanceAdded(a_record(incarnation="life-2")))
        self.directory.observe(old, GOOD)
        self.assertIs(self.member().health.state, Health.UNKNOWN)
        self.assertEqual(self.directory.clusters["pricing"].checks_passed, 0)

    def test_checks_are_counted_and_flips_are_told(self) -> None:
        """Three failures in a row take an instance out; every result is counted, only the flip is an event."""
        self.put(a_record())
        self.directory.observe(self.member(), GOOD)
        del self.heard[:]
        for _ in range(3):
            self.directory.observe(self.member(), BAD)
        cluster = self.directory.clusters["pricing"]
        self.assertEqual((cluster.checks_passed, cluster.checks_failed), (1, 3))
        self.assertEqual(self.heard, [HealthChanged("pricing", "p1", Health.HEALTHY, Health.UNHEALTHY, "status 503")])
        self.assertFalse(self.member().available(0.0))

    def test_the_operators_will_takes_effect_at_once(self) -> None:
        """A drained instance is no choice any more, and is one again when it is ready."""
        self.put(a_record())
        self.directory.observe(self.member(), GOOD)
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.DRAIN))
        self.assertEqual(self.choices(), [])
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.READY))
        self.assertEqual(self.choices(), ["p1"])

    def test_the_operators_will_outlives_a_restart(self) -> None:
        """An instance that is drained and restarted stays out; made ready, its next life serves as any other."""
        self.put(a_record())
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.MAINT))
        self.put()
        self.put(a_record(incarnation="life-2"))
        self.directory.observe(self.member(), GOOD)
        self.assertEqual((self.member().admin, self.choices()), (AdminState.MAINT, []))
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.READY))
        self.put(a_record(incarnation="life-3"))
        self.directory.observe(self.member(), GOOD)
        self.assertEqual(self.choices(), ["p1"])

    def test_what_is_meant_for_one_life_ends_with_it(self) -> None:
        """An instance that the mesh drains to stop it leaves nothing behind for the next one in its place."""
        self.put(a_record())
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.DRAIN, lasting=False))
        self.assertIs(self.member().admin, AdminState.DRAIN)
        self.put()
        self.put(a_record(incarnation="life-2"))
        self.directory.observe(self.member(), GOOD)
        self.assertEqual(self.choices(), ["p1"])

    def test_the_operators_weight(self) -> None:
        """It holds over updates and restarts until it is taken back; then what the instance says holds again."""
        self.put(a_record(weight=3))
        self.directory.apply(WeightChanged("pricing", "p1", 7))
        self.put(a_record(weight=4))
        self.assertEqual(self.member().weight, 7)
        self.put(a_record(weight=5, incarnation="life-2"))
        self.assertEqual(self.member().weight, 7)
        del self.heard[:]
        self.directory.apply(WeightChanged("pricing", "p1", 7))
        self.assertEqual(self.heard, [])
        self.directory.apply(WeightChanged("pricing", "p1", None))
        self.assertEqual((self.member().weight, self.heard), (5, [WeightChanged("pricing", "p1", None)]))
        self.directory.observe(self.member(), GOOD)
        self.choices()
        self.assertEqual(self.member().share, 5.0)

    def test_a_will_that_was_there_first(self) -> None:
        """An instance that comes later has it from its first moment, with who it was and since when."""
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.DRAIN, ago=5.0, by="me"))
        self.directory.apply(WeightChanged("pricing", "p1", 9, ago=3.0, by="you"))
        self.directory.apply(AdminStateChanged("nobody", "p1", AdminState.DRAIN))
        self.assertEqual(self.heard, [])
        self.put(a_record())
        member = self.member()
        self.assertEqual((member.admin, member.admin_by, member.weight), (AdminState.DRAIN, "me", 9))
        self.assertEqual((member.admin_since, member.directed), (-5.0, Standing(9, -3.0, "you")))

    def test_who_drains_what_is_drained(self) -> None:
        """What the mesh drained to stop it stays drained in its next life, if an operator says so, too."""
        self.put(a_record())
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.DRAIN, lasting=False))
        self.directory.apply(AdminStateChanged("pricing", "p1", AdminState.DRAIN, by="me"))
        self.assertEqual(self.member().admin_by, "me")
        self.put()
        self.put(a_record(incarnation="life-2"))
        self.assertIs(self.member().admin, AdminState.DRAIN)

    def test_load_is_kept_and_told(self) -> None:
        """What an instance uses is known as soon as its heartbeat says so; nobody asks about strangers."""
        self.put(a_record())
        event = LoadReported("pricing", "p1", LoadSample(12.5, 1000))
        self.now = 7.0
        self.directory.apply(event)
        self.now = 9.0
        self.directory.apply(LoadReported("pricing", "p9", LoadSample(1.0, 1)))
        self.assertEqual((self.member().load, self.member().load_since), (LoadSample(12.5, 1000), 7.0))
        self.assertEqual(self.heard[1:], [event])

    def test_records_of_undeclared_services_are_set_aside(self) -> None:
        """A service that registers itself under a name nobody declared gets no traffic, but can be seen."""
        stranger = a_record(service="stranger")
        self.put(stranger)
        self.assertEqual(self.directory.unclaimed, {("stranger", "p1"): stranger})
        self.assertEqual(self.heard, [])
        self.directory.apply(InstanceRemoved("stranger", "p1", "deregistered"))
        self.assertEqual(self.directory.unclaimed, {})
        self.put(stranger)
        self.put()
        self.assertEqual(self.directory.unclaimed, {})

    def test_sinks_hear_in_the_order_they_subscribed(self) -> None:
        """The prober knows of an instance before the pool does, always."""
        order: list[str] = []
        self.directory.subscribe(lambda event: order.append("first"))
        self.directory.subscribe(lambda event: order.append("second"))
        self.put(a_record())
        self.assertEqual(order, ["first", "second"])

    def test_health_is_not_for_telling(self) -> None:
        """Health comes from checks; an event that claims it is a programming error."""
        self.assertRaises(
            TypeError,
            self.directory.apply,
            HealthChanged("pricing", "p1", Health.UNKNOWN, Health.HEALTHY, "because I say so"),
        )
