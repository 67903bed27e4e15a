"""Tests of wmesh.policy.preservation: which leases are believed to have ended, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.preservation import FreezeBegan, FreezeEnded, Key, Preservation, PreservationSpec, Verdict

SPEC = PreservationSpec(window=15.0, hold=300.0)


def keys(service: str, count: int) -> list[Key]:
    return [(service, f"{service}-{number}") for number in range(count)]


def fleet(spec: PreservationSpec = SPEC, **services: int) -> Preservation:
    """All of them are there, at time 0."""
    policy = Preservation(spec)
    for service, count in services.items():
        for key in keys(service, count):
            policy.appeared(key, 0.0)
    return policy


class SmallFleetTests(SynchronousTestCase):
    """What one, two and three instances may expect."""

    def fate(self, count: int, vanish: int, others: int = 0, step: float = 1.0) -> list[str]:
        """How each of those that vanish one after the other is judged."""
        policy = fleet(a=count, b=others)
        fates = []
        for number, key in enumerate(keys("a", vanish)):
            verdict = policy.vanished([key], 1.0 + number * step)
            fate = "evict" if verdict.evict == (key,) else "hold"
            fates.append(fate + "+restore" * bool(verdict.restore))
        return fates

    def test_table(self) -> None:
        """The last one of a service is held; one of several is evicted; the second of two or three freezes."""
        self.assertEqual(self.fate(1, 1), ["hold"])
        self.assertEqual(self.fate(2, 1), ["evict"])
        self.assertEqual(self.fate(2, 2), ["evict", "hold+restore"])
        self.assertEqual(self.fate(3, 1), ["evict"])
        self.assertEqual(self.fate(3, 2), ["evict", "hold+restore"])
        self.assertEqual(self.fate(3, 3), ["evict", "hold+restore", "hold"])
        self.assertEqual(self.fate(5, 2), ["evict", "evict"])

    def test_other_services_change_nothing(self) -> None:
        """A single crash is evicted at once, in a mesh of four instances as in one of forty."""
        for others in (1, 5, 40):
            self.assertEqual(self.fate(3, 1, others), ["evict"])

    def test_slow_crashes_are_crashes(self) -> None:
        """Further apart than a window, each is judged alone; only the last is held."""
        self.assertEqual(self.fate(4, 4, step=16.0), ["evict", "evict", "evict", "hold"])


class FreezeTests(SynchronousTestCase):
    def test_a_lost_registry(self) -> None:
        """Everything missing at once freezes the registry, once, and everybody is held."""
        policy = fleet(a=3, b=4, c=1)
        everybody = keys("a", 3) + keys("b", 4) + keys("c", 1)
        verdict = policy.vanished(everybody, 10.0)
        self.assertEqual(verdict, Verdict(hold=tuple(everybody)))
        self.assertEqual(policy.news(), [FreezeBegan("", 8, 8)])
        self.assertEqual(policy.frozen(), {"": 10.0})

    def test_all_come_back(self) -> None:
        """Whoever registers again is live again; with the last of them the freeze ends, and says how it went."""
        policy = fleet(a=3, b=4)
        policy.vanished(keys("a", 3) + keys("b", 4), 10.0)
        policy.news()
        for key in keys("a", 3) + keys("b", 4):
            self.assertTrue(policy.appeared(key, 14.0))
        self.assertEqual(policy.news(), [FreezeEnded("", 4.0, back=7, failed=0, late=0)])
        self.assertEqual((policy.frozen(), dict(policy.held), len(policy.live)), ({}, {}, 7))

    def test_a_share_of_the_registry(self) -> None:
        """16 of 100 leases, spread so thin that no service minds, are too many; 15 are not."""
        policy = fleet(**{f"s{number}": 5 for number in range(20)})
        for number in range(15):
            self.assertEqual(len(policy.vanished([(f"s{number}", f"s{number}-0")], 1.0).evict), 1)
        verdict = policy.vanished([("s15", "s15-0")], 2.0)
        self.assertEqual((len(verdict.hold), len(verdict.restore)), (1, 15))

    def test_a_service_freezes_alone(self) -> None:
        """The other services go on believing that one lease is a crash."""
        policy = fleet(a=2, b=30)
        policy.vanished(keys("a", 2), 1.0)
        self.assertEqual(policy.frozen(), {"a": 1.0})
        self.assertEqual(policy.vanished(keys("b", 1), 2.0).evict, (("b", "b-0"),))

    def test_while_frozen_everything_is_held(self) -> None:
        """Who vanishes during a freeze joins those who are held, however few they are."""
        policy = fleet(a=10)
        policy.vanished(keys("a", 6), 1.0)
        self.assertEqual(policy.vanished([("a", "a-7")], 200.0).hold, (("a", "a-7"),))

    def test_checks_decide(self) -> None:
        """Lease and checks together are believed; who was evicted so does not count as vanished afterwards."""
        policy = fleet(a=6, b=40)
        policy.vanished(keys("a", 4), 1.0)
        policy.news()
        for key in keys("a", 4):
            self.assertTrue(policy.failed(key, 3.0))
        self.assertEqual(policy.news(), [FreezeEnded("a", 2.0, back=0, failed=4, late=0)])
        self.assertEqual(policy.vanished([("a", "a-4")], 4.0).evict, (("a", "a-4"),))

    def test_failing_checks_of_others_mean_nothing_here(self) -> None:
        """Only who is held can be evicted by his checks."""
        policy = fleet(a=2)
        self.assertFalse(policy.failed(("a", "a-0"), 1.0))
        self.assertIn(("a", "a-0"), policy.live)

    def test_time_decides(self) -> None:
        """After `hold` seconds who is still gone is gone for good."""
        policy = fleet(a=2)
        policy.vanished(keys("a", 2), 1.0)
        policy.appeared(("a", "a-0"), 2.0)
        self.assertEqual(policy.overdue(300.9), ())
        self.assertEqual(policy.overdue(301.0), (("a", "a-1"),))
        self.assertEqual(policy.news()[-1], FreezeEnded("a", 300.0, back=1, failed=0, late=1))

    def test_time_without_a_registry_does_not_count(self) -> None:
        policy = fleet(a=2)
        policy.vanished(keys("a", 2), 1.0)
        policy.extend(60.0)
        self.assertEqual(policy.overdue(360.9), ())
        self.assertEqual(len(policy.overdue(361.0)), 2)

    def test_unchecked_services_are_held_for_one_lease(self) -> None:
        """Nothing else can ever speak against them."""
        policy = fleet(PreservationSpec(unchecked=frozenset({"a"})), a=1)
        policy.vanished(keys("a", 1), 0.0)
        self.assertEqual(policy.overdue(15.0), (("a", "a-0"),))

    def test_farewells_never_count(self) -> None:
        """A service may be taken down whole, and one that is held leaves at once when it says so."""
        policy = fleet(a=4)
        for key in keys("a", 2):
            policy.left(key, 1.0)
        self.assertEqual(policy.vanished([("a", "a-2")], 2.0).evict, (("a", "a-2"),))
        self.assertEqual(policy.vanished([("a", "a-3")], 2.0).hold, (("a", "a-3"),))
        for key in keys("a", 4):
            policy.left(key, 3.0)
        self.assertEqual((dict(policy.held), policy.frozen()), ({}, {}))

    def test_turned_off(self) -> None:
        """hold = 0: leases alone decide. A share of 1 never freezes."""
        off = fleet(PreservationSpec(hold=0.0), a=3)
        self.assertEqual(len(off.vanished(keys("a", 3), 1.0).evict), 3)
        never = fleet(PreservationSpec(service=1.0, registry=1.0), a=3)
        self.assertEqual(len(never.vanished(keys("a", 3), 1.0).evict), 3)

    def test_strangers(self) -> None:
        """What was never there cannot vanish, and nothing vanishes twice."""
        policy = fleet(a=3)
        self.assertEqual(policy.vanished([("b", "b-0")], 1.0), Verdict())
        policy.vanished([("a", "a-0")], 1.0)
        self.assertEqual(policy.vanished([("a", "a-0")], 2.0), Verdict())

    def test_late_comers_are_restorable_for_a_window(self) -> None:
        policy = fleet(a=3)
        policy.vanished([("a", "a-0")], 1.0)
        self.assertTrue(policy.restorable(("a", "a-0")))
        self.tick(policy, [16.1])
        self.assertFalse(policy.restorable(("a", "a-0")))

    def tick(self, policy: Preservation, times: Iterable[float]) -> None:
        for now in times:
            policy.overdue(now)
