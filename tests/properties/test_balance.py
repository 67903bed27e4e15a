"""What every strategy promises, whatever the members, their shares and their load."""

from __future__ import annotations

from collections import Counter
from math import ceil
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import SPEC, a_member, a_spec, members
from wmesh.balance import STRATEGIES
from wmesh.balance.consistent_hash import CHOICES, ConsistentHash
from wmesh.balance.least_connections import SCAN_LIMIT, LeastConnections
from wmesh.balance.power_of_two import PowerOfTwo
from wmesh.balance.rendezvous import Rendezvous, rounded
from wmesh.balance.round_robin import RoundRobin
from wmesh.balance.weighted_round_robin import WeightedRoundRobin
from wmesh.cluster.member import Member
from wmesh.model import LoadSample

WEIGHTS = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 1000)), min_size=1, max_size=24)
FRACTIONS = st.sampled_from([0.1, 0.25, 0.333, 0.5, 0.9])
SHARES = st.one_of(
    WEIGHTS,
    st.lists(st.one_of(st.integers(1, 5), st.integers(1, 1000), FRACTIONS), min_size=1, max_size=24),
    st.sampled_from([[], [1], [1, 1], [1000, 1], [1] * 50, [1000] + [1] * 30, [0.1] * 12]),
)
NAMES = st.sampled_from(sorted(STRATEGIES))
SEEDS = st.integers(0, 2**32)
KEYS = st.binary(max_size=40)

quick = settings(max_examples=60, deadline=None)


def load(member: Member) -> float:
    return member.in_flight / member.share


def a_fleet(shares: list[float], data: st.DataObject) -> list[Member]:
    """Members with these shares in the middle of their lives: busy, measured, reported, limited, or not."""
    random = Random(data.draw(SEEDS))
    fleet = members(shares)
    for member in fleet:
        member.in_flight = random.choice((0, 0, 1, 3, 200))
        member.limit = random.choice((0, 2, 100))
        if random.random() < 0.5:
            member.latency.observe(random.expovariate(20.0), random.uniform(0.0, 30.0))
        if random.random() < 0.5:
            member.load = LoadSample(random.choice((None, 0.0, 50.0, 400.0)), random.choice((None, 0, 1 << 30)))
            member.load_since = random.uniform(0.0, 40.0)
    return fleet


class EveryStrategyTests(SynchronousTestCase):
    """The conformance of a strategy to `wmesh.interfaces.Strategy`, run over the whole table."""

    @settings(max_examples=200, deadline=None)
    @given(NAMES, SHARES, SEEDS, st.data())
    def test_tried_members_are_left_alone_and_untried_ones_are_found(
        self, name: str, shares: list[float], seed: int, data: st.DataObject
    ) -> None:
        """A retry never goes to an instance that was tried already, and never gives up while another is there."""
        all_members = a_fleet(shares, data)
        strategy = STRATEGIES[name](SPEC, Random(seed))
        strategy.rebuild(all_members)
        others = [a_member("gone")]
        for _ in range(6):
            tried = data.draw(st.lists(st.sampled_from(all_members + others), max_size=len(shares) + 1, unique_by=id))
            now = data.draw(st.sampled_from([40.0, 41.5, 400.0]))
            picked = strategy.pick(data.draw(KEYS), tried, now)
            self.assertNotIn(picked, tried)
            self.assertEqual(picked is None, set(tried) >= set(all_members))
            self.assertIn(picked, [*all_members, None])

    @quick
    @given(NAMES, SHARES, SEEDS, st.data())
    def test_a_request_can_try_every_member_once(
        self, name: str, shares: list[float], seed: int, data: st.DataObject
    ) -> None:
        """A request that fails everywhere has been everywhere, once."""
        all_members = a_fleet(shares, data)
        strategy = STRATEGIES[name](SPEC, Random(seed))
        strategy.rebuild(all_members)
        tried: list[Member] = []
        while (member := strategy.pick(b"", tried, 1.0)) is not None:
            tried.append(member)
        self.assertEqual(sorted(map(id, tried)), sorted(map(id, all_members)))

    @quick
    @given(NAMES, SHARES, SHARES, SEEDS)
    def test_only_the_latest_members_are_picked(
        self, name: str, before: list[float], after: list[float], seed: int
    ) -> None:
        """Once an instance is out, it gets no more requests."""
        strategy = STRATEGIES[name](SPEC, Random(seed))
        strategy.rebuild(members(before))
        strategy.pick(b"", (), 1.0)
        latest = members(after)
        strategy.rebuild(latest)
        for _ in range(10):
            self.assertIn(strategy.pick(b"", (), 1.0), latest or [None])
        strategy.rebuild(())
        self.assertIsNone(strategy.pick(b"", (), 1.0))
        self.assertEqual(list(strategy.scores(b"", 1.0)), [])

    @quick
    @given(NAMES, SHARES, SEEDS, st.data())
    def test_looking_at_scores_changes_nothing(
        self, name: str, shares: list[float], seed: int, data: st.DataObject
    ) -> None:
        """Every member has its score and its words, and whoever looks does not move the next pick."""
        all_members = a_fleet(shares, data)
        looked, plain = (STRATEGIES[name](SPEC, Random(seed)) for _ in range(2))
        looked.rebuild(all_members)
        plain.rebuild(all_members)
        for number in range(8):
            key, now = b"%d" % (number % 3), 40.0 + number
            scores = looked.scores(key, now)
            self.assertEqual(sorted(id(member) for member, _, _ in scores), sorted(map(id, all_members)))
            self.assertTrue(all(isinstance(score, float) and score == score and words for _, score, words in scores))
            self.assertIs(looked.pick(key, (), now), plain.pick(key, (), now))

    @quick
    @given(NAMES, SHARES, SEEDS)
    def test_everybody_is_reached(self, name: str, shares: list[float], seed: int) -> None:
        """No strategy leaves a member without requests for good when requests stay: somebody is always next."""
        all_members = members(shares[:6])
        strategy = STRATEGIES[name](a_spec(capacity=2), Random(seed))
        strategy.rebuild(all_members)
        light = min((member.share for member in all_members), default=1.0)
        enough = 20 * int(sum(member.share for member in all_members) / light + 1)
        for number in range(min(enough, 2000)):
            member = strategy.pick(b"%d" % number, (), 1.0)
            if member is not None:
                member.in_flight += 1
        if enough <= 2000:
            self.assertTrue(all(member.in_flight for member in all_members), [m.in_flight for m in all_members])


class FairnessTests(SynchronousTestCase):
    @quick
    @given(SHARES, SEEDS, st.integers(1, 400), st.data())
    def test_weighted_shares_hold_at_every_moment(
        self, shares: list[float], seed: int, picks: int, data: st.DataObject
    ) -> None:
        """At every moment each instance has had its share to within one request, and in any window of requests to
        within two: heavy ones come in no bursts, and light ones are not served all at once."""
        strategy = WeightedRoundRobin(SPEC, Random(seed))
        all_members = members(shares)
        strategy.rebuild(all_members)
        whole = sum(shares)
        had = dict.fromkeys(all_members, 0)
        ahead = dict.fromkeys(all_members, (0.0, 0.0))
        for number in range(1, picks * bool(all_members) + 1):
            member = strategy.pick(b"", (), 0.0)
            assert member is not None
            had[member] += 1
            for member in all_members:
                lead = had[member] - number * member.share / whole
                self.assertLess(abs(lead), 1.0 + 1e-9)
                low, high = ahead[member]
                ahead[member] = min(low, lead), max(high, lead)
                self.assertLess(ahead[member][1] - ahead[member][0], 2.0)

    @quick
    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), SEEDS)
    def test_a_whole_round_is_exact(self, weights: list[int], seed: int) -> None:
        """After as many requests as the weights add up to, everybody has had exactly as many as it weighs."""
        strategy = WeightedRoundRobin(SPEC, Random(seed))
        all_members = members(weights)
        strategy.rebuild(all_members)
        for _ in range(2):
            had = dict.fromkeys(map(id, all_members), 0)
            for _ in range(sum(weights)):
                had[id(strategy.pick(b"", (), 0.0))] += 1
            self.assertEqual([had[id(member)] for member in all_members], weights)

    @quick
    @given(SHARES, SEEDS, st.lists(st.integers(0, 40), max_size=20))
    def test_rebuilding_changes_no_share(self, shares: list[float], seed: int, rests: list[int]) -> None:
        """However often the same fleet is handed over anew, fairness holds as if it never was."""
        strategy = WeightedRoundRobin(SPEC, Random(seed))
        all_members = members(shares)
        had: Counter[Member] = Counter()
        for picks in rests * bool(all_members):
            strategy.rebuild(all_members)
            for _ in range(picks):
                member = strategy.pick(b"", (), 0.0)
                assert member is not None
                had[member] += 1
                number = had.total()
                for each in all_members:
                    self.assertLess(abs(had[each] - number * each.share / sum(shares)), 1.0 + 1e-6)

    @quick
    @given(WEIGHTS, SEEDS, st.integers(1, 50), st.integers(0, 23))
    def test_a_ramp_keeps_everybody_near_its_share(
        self, weights: list[int], seed: int, every: int, who: int
    ) -> None:
        """While one ramps from a tenth to the whole in steps, each has had its part of each step, to within two."""
        strategy = WeightedRoundRobin(SPEC, Random(seed))
        all_members = members(weights)
        new = all_members[who % len(all_members)]
        weight = new.share
        owed: Counter[Member] = Counter()
        had: Counter[Member] = Counter()
        for step in range(1, 31):
            new.share = weight * max(0.1, step / 30)
            strategy.rebuild(all_members)
            whole = sum(member.share for member in all_members)
            for _ in range(every):
                member = strategy.pick(b"", (), 0.0)
                assert member is not None
                had[member] += 1
                for each in all_members:
                    owed[each] += each.share / whole  # type: ignore[assignment]
                    self.assertLess(abs(owed[each] - had[each]), 2.0)

    @quick
    @given(st.integers(1, 30), SEEDS, st.integers(0, 50))
    def test_round_robin_meets_everybody_in_every_round(self, count: int, seed: int, skip: int) -> None:
        """Any run of as many requests as there are instances reaches each of them once, weights or not."""
        strategy = RoundRobin(SPEC, Random(seed))
        all_members = members(range(1, count + 1))
        strategy.rebuild(all_members)
        for _ in range(skip):
            strategy.pick(b"", (), 0.0)
        self.assertEqual({id(strategy.pick(b"", (), 0.0)) for _ in range(count)}, {id(m) for m in all_members})


LOADED = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 10)), min_size=2, max_size=20)


class LeastLoadedTests(SynchronousTestCase):
    def loaded(self, loads: list[tuple[int, int]]) -> list[Member]:
        return [a_member(f"m{i}", in_flight=busy, weight=weight) for i, (busy, weight) in enumerate(loads)]

    @quick
    @given(LOADED, SEEDS)
    def test_two_choices_never_end_at_the_busiest(self, loads: list[tuple[int, int]], seed: int) -> None:
        """Of two instances the busier one is never taken, so the one that is busier than all others gets nothing."""
        all_members = self.loaded(loads)
        strategy = PowerOfTwo(SPEC, Random(seed))
        strategy.rebuild(all_members)
        most = max(map(load, all_members))
        busiest = [member for member in all_members if load(member) == most]
        for _ in range(20):
            picked = strategy.pick(b"", (), 0.0)
            self.assertFalse(len(busiest) == 1 and picked is busiest[0])

    @quick
    @given(LOADED, SEEDS)
    def test_least_connections_takes_the_least_of_few(self, loads: list[tuple[int, int]], seed: int) -> None:
        """With few instances the least busy for its share is taken, give or take the request that is to be placed;
        with many, at least never the busiest."""
        all_members = self.loaded(loads)
        strategy = LeastConnections(SPEC, Random(seed))
        strategy.rebuild(all_members)
        picked = strategy.pick(b"", (), 0.0)
        assert picked is not None
        loads_now = sorted(map(load, all_members))
        if len(all_members) <= SCAN_LIMIT:
            if len({member.share for member in all_members}) == 1:
                self.assertEqual(load(picked), loads_now[0])
            for other in all_members:
                self.assertLessEqual(load(picked), (other.in_flight + 1) / other.share)
        elif loads_now[-2] < loads_now[-1]:
            self.assertLess(load(picked), loads_now[-1])


def homes(ranks: Rendezvous, keys: range) -> dict[bytes, Member | None]:
    return {key: ranks.best(key) for key in (b"10.0.%d.%d" % (number >> 8, number & 255) for number in keys)}


class HashTests(SynchronousTestCase):
    @quick
    @given(SHARES.filter(len), st.data())
    def test_only_the_keys_of_who_leaves_move(self, shares: list[float], data: st.DataObject) -> None:
        """When one of n leaves nobody else's keys move: that is 1/n of them, or its share, and no slack. When it comes
        back all is as before."""
        fleet = members(shares)
        ranks = Rendezvous()
        ranks.rebuild(fleet)
        before = homes(ranks, range(300))
        gone = data.draw(st.sampled_from(fleet))
        ranks.rebuild([member for member in fleet if member is not gone])
        after = homes(ranks, range(300))
        for key, home in before.items():
            if home is not gone:
                self.assertIs(after[key], home)
        ranks.rebuild(fleet)
        self.assertEqual(homes(ranks, range(300)), before)

    @quick
    @given(SHARES.filter(len), st.data(), st.sampled_from([0.1, 0.5, 0.97, 1.2, 2.0, 7.0]))
    def test_a_change_of_weight_moves_keys_one_way(
        self, shares: list[float], data: st.DataObject, change: float
    ) -> None:
        """Who gains weight only takes keys, who loses it only gives some away, and no other key moves."""
        fleet = members(shares)
        ranks = Rendezvous()
        ranks.rebuild(fleet)
        before = homes(ranks, range(300))
        changed = data.draw(st.sampled_from(fleet))
        more = rounded(changed.share * change) >= rounded(changed.share)
        changed.share *= change
        ranks.rebuild(fleet)
        for key, home in homes(ranks, range(300)).items():
            if home is not before[key]:
                self.assertIs(home if more else before[key], changed)

    @quick
    @given(
        st.lists(st.one_of(st.integers(1, 5), FRACTIONS), min_size=1, max_size=CHOICES),
        SEEDS,
        st.sampled_from([101, 125, 150, 200]),
        st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=150),
    )
    def test_nobody_is_filled_above_the_bound(
        self, shares: list[float], seed: int, factor: int, steps: list[tuple[bool, int]]
    ) -> None:
        """Whatever keys come and requests end, no pick puts a member above its part of all in flight times the factor,
        rounded up (to within what is counted between two counts of all)."""
        fleet = members(shares)
        strategy = ConsistentHash(a_spec(hash_balance_factor=factor), Random(seed))
        strategy.rebuild(fleet)
        random = Random(seed)
        for ends, key in steps:
            busy = [member for member in fleet if member.in_flight]
            if ends and busy:
                random.choice(busy).in_flight -= 1
                continue
            picked = strategy.pick(b"%d" % key, (), 0.0)
            assert picked is not None
            picked.in_flight += 1
            total = sum(member.in_flight for member in fleet)
            slack = len(fleet) // 8
            bound = ceil(factor / 100 * (total + slack) * picked.share / sum(shares) + 1e-9)
            self.assertLessEqual(picked.in_flight, bound)
