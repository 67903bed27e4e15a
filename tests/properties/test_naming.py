"""Whatever name servers say, and in whatever order: instances do not vanish by accident."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import Address
from wmesh.policy.naming import ENOUGH, Answer, Knowledge, NamingSpec, Outcome
from wmesh.policy.records import (
    AAAA,
    CNAME,
    SRV,
    A,
    Absent,
    Elsewhere,
    Failed,
    Found,
    Place,
    Record,
    Service,
    best_group,
    is_name,
    plain,
    read_answer,
)

SPEC = NamingSpec(hold=60.0)

names = st.sampled_from(["a.test", "B.test", "b.test.", "c.test", "", ".", "\\xff", "x" * 64, "a" * 300])
hosts = st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"])
ttls = st.sampled_from([0.0, 1.0, 60.0, 2.0**31 - 1])
services = st.builds(
    Service, st.integers(0, 65535) | st.integers(0, 2), st.integers(0, 65535), st.integers(0, 65535), names
)
records = st.one_of(
    st.builds(Record, names, st.sampled_from([A, AAAA]), ttls, hosts),
    st.builds(Record, names, st.just(CNAME), ttls, names),
    st.builds(Record, names, st.just(SRV), ttls, services),
)
places = st.lists(st.builds(Place, st.builds(Address, hosts, st.integers(1, 65535))), min_size=1, max_size=4).map(tuple)
outcomes = st.one_of(
    st.builds(Answer, places, ttls, st.sampled_from(["", "AAAA: late"])),
    st.builds(Failed, st.just("late")),
    st.builds(Absent, st.just("NXDOMAIN")),
)
steps = st.lists(
    st.tuples(outcomes, st.floats(0.0, 400.0), st.floats(0.0, 1.0, exclude_max=True)), min_size=1, max_size=40
)


class RecordProperties(SynchronousTestCase):
    @given(names, st.sampled_from([A, AAAA, SRV]), st.lists(records, max_size=12))
    def test_any_answer_can_be_read(self, name: str, kind: str, bag: list[Record]) -> None:
        """What is found has the right kind, is there once, and belongs to the name or to one of its aliases."""
        found = read_answer(name, kind, bag)
        if isinstance(found, Found):
            self.assertEqual(len(found.values), len(set(found.values)))
            owned = {plain(each.owner) for each in bag if each.kind == kind and each.value in found.values}
            aliases = {plain(str(each.value)) for each in bag if each.kind == CNAME}
            self.assertTrue(owned & ({plain(name)} | aliases))
            self.assertLessEqual(found.ttl, max(each.ttl for each in bag))
        elif isinstance(found, Elsewhere):
            self.assertTrue(is_name(found.name))
            self.assertNotEqual(plain(found.name), plain(name))
        elif isinstance(found, Absent):
            self.assertEqual(bag, [])

    @given(st.lists(services, max_size=8), st.dictionaries(names.map(plain), st.lists(hosts, max_size=3)))
    def test_best_group(self, all_of: list[Service], known: dict[str, list[str]]) -> None:
        """Addresses are there once, weights are ours, and nobody comes from a priority that is not the best."""
        found = best_group(all_of, known)
        usable = [each for each in all_of if each.port and known.get(plain(each.target))]
        self.assertEqual(bool(found), bool(usable))
        self.assertEqual(len({place.address for place in found}), len(found))
        best = min((each.priority for each in usable), default=0)
        right = {Address(h, each.port) for each in usable if each.priority == best for h in known[plain(each.target)]}
        self.assertEqual({place.address for place in found}, right)
        for place in found:
            self.assertTrue(place.weight is not None and 1 <= place.weight <= 1000)


class KnowledgeProperties(SynchronousTestCase):
    @given(steps)
    def test_nothing_vanishes_by_accident(self, story: list[tuple[Outcome, float, float]]) -> None:
        """Instances go only by an answer without them, or by `ENOUGH` denials over the whole hold since one."""
        known = Knowledge(SPEC)
        now, denials, since = 0.0, 0, 0.0
        for outcome, passed, chance in story:
            now += passed
            before = known.places
            pause = known.take(outcome, now, chance)
            self.assertTrue(0.5 < pause <= SPEC.ceiling, pause)
            match outcome:
                case Answer(there):
                    self.assertEqual(known.places, there)
                    self.assertFalse(known.doubtful)
                    denials = 0
                case Failed():
                    self.assertEqual(known.places, before)
                case Absent():
                    since = since if denials else now
                    denials += 1
                    dropped = bool(before) and not known.places
                    if dropped:
                        self.assertTrue(denials >= ENOUGH and now - since >= SPEC.hold)
                    else:
                        self.assertEqual(known.places, before)
            self.assertEqual(bool(known.problem), not isinstance(outcome, Answer) or bool(outcome.problem))
