"""Fleets under a fake clock, in any order of events: what self-preservation promises whatever happens."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.preservation import FreezeBegan, FreezeEnded, Key, Preservation, PreservationSpec

SPEC = PreservationSpec(window=15.0, hold=300.0)
KEYS = [(service, f"{number}") for service in "abc" for number in range(4)]

actions = st.lists(
    st.tuples(
        st.sampled_from(["appear", "leave", "vanish", "vanish", "fail", "wait", "long"]),
        st.lists(st.sampled_from(KEYS), min_size=1, max_size=6),
        st.floats(0.0, 20.0),
    ),
    max_size=60,
)


class AnyOrderTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(actions)
    def test_accounts_agree(self, steps: list[tuple[str, list[Key], float]]) -> None:
        """Seen from outside (a set of members that the verdicts are carried out on), members are always exactly the
        live and the held; a freeze lasts exactly as long as somebody is held in it; every beginning has one end."""
        policy, members, now, open_scopes = Preservation(SPEC), set[Key](), 0.0, set[str]()
        for action, keys, pause in steps:
            now += {"wait": pause, "long": 100.0}.get(action, 0.0)
            if action == "appear":
                for key in keys:
                    policy.appeared(key, now)
                    members.add(key)
            elif action == "leave":
                for key in keys:
                    policy.left(key, now)
                    members.discard(key)
            elif action == "vanish":
                before = set(policy.live)
                verdict = policy.vanished(keys, now)
                self.assertEqual({*verdict.evict, *verdict.hold}, before & set(keys))
                self.assertFalse(set(verdict.restore) & members)
                members.difference_update(verdict.evict)
                members.update(verdict.restore)
            elif action == "fail":
                members.difference_update(key for key in keys if policy.failed(key, now))
            members.difference_update(policy.overdue(now))
            for news in policy.news():
                if isinstance(news, FreezeBegan):
                    self.assertNotIn(news.scope, open_scopes)
                    open_scopes.add(news.scope)
                elif isinstance(news, FreezeEnded):
                    open_scopes.remove(news.scope)
            self.assertEqual(members, set(policy.live) | set(policy.held))
            self.assertFalse(set(policy.live) & set(policy.held))
            self.assertEqual(open_scopes, set(policy.frozen()))
            held_services = {key[0] for key in policy.held}
            self.assertTrue(open_scopes - {""} <= held_services)
            self.assertEqual(bool(policy.held), bool(open_scopes))
        for _ in range(2):
            now += SPEC.hold
            policy.overdue(now)
        self.assertEqual((dict(policy.held), policy.frozen()), ({}, {}))

    @settings(max_examples=200, deadline=None)
    @given(st.integers(2, 50), st.integers(0, 50), st.integers(0, 49))
    def test_one_crash_is_evicted_at_once(self, size: int, others: int, which: int) -> None:
        """Whatever the size of the mesh, as long as the service has another instance."""
        policy = Preservation(SPEC)
        for number in range(size):
            policy.appeared(("a", str(number)), 0.0)
        for number in range(others):
            policy.appeared(("b", str(number)), 0.0)
        key = ("a", str(which % size))
        self.assertEqual(policy.vanished([key], 1.0).evict, (key,))


class OutageTests(SynchronousTestCase):
    def test_a_registry_that_forgets_everybody_costs_nobody(self) -> None:
        """100 meshes of all sizes lose their registry: leases end one by one within a window, in any order, while
        holders come back one by one within the next. Every instance is a member again at the end, and services of
        which less than half has vanished so far, too, were never empty."""
        for seed in range(100):
            rng = Random(seed)
            fleet = [(f"s{s}", f"{n}") for s in range(rng.randint(1, 8)) for n in range(rng.randint(1, 12))]
            policy, members = Preservation(SPEC), set(fleet)
            for key in fleet:
                policy.appeared(key, 0.0)
            moments = [(rng.uniform(0.0, 14.9), "vanish", key) for key in fleet]
            moments += [(rng.uniform(15.0, 25.0), "appear", key) for key in fleet]
            for now, what, key in sorted(moments):
                if what == "appear":
                    policy.appeared(key, now)
                    members.add(key)
                    continue
                verdict = policy.vanished([key], now)
                members.difference_update(verdict.evict)
                members.update(verdict.restore)
                for service in {key[0] for key in fleet}:
                    self.assertTrue(any(member[0] == service for member in members), (seed, service))
            self.assertEqual(members, set(fleet))
            self.assertEqual((policy.frozen(), dict(policy.held)), ({}, {}))

    def test_a_rack_that_burns(self) -> None:
        """Half of every service dies at once: held until their checks fail, then evicted, and the rest goes on."""
        fleet = [(f"s{s}", f"{n}") for s in range(5) for n in range(4)]
        policy = Preservation(SPEC)
        for key in fleet:
            policy.appeared(key, 0.0)
        dead = [key for key in fleet if int(key[1]) < 2]
        verdict = policy.vanished(dead, 1.0)
        self.assertEqual(len(verdict.hold), 10)
        self.assertTrue(all(policy.failed(key, 4.0) for key in dead))
        self.assertEqual((len(policy.live), policy.frozen()), (10, {}))
