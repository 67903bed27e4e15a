"""Tests of wmesh.cluster.explain: what is said about a pick is what a pick would do."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.samples import FirstUntried
from tests.cluster.selecting import QUICK, SelectionCase, of
from wmesh.cluster.explain import MOST, explain, span, summary
from wmesh.cluster.member import Standing
from wmesh.cluster.outcome import Outcome
from wmesh.cluster.ticket import Ticket
from wmesh.model import AdminState, Health, Subset


class ExplainTests(SelectionCase):
    def explained(self, *tried: str, prefer: str = "", subset: Subset | None = None) -> dict[str, Any]:
        """The explanation, which a pick right after it has to bear out."""
        selection = self.cluster.select(subset or Subset())
        members = [self.member(name) for name in tried]
        document = explain(selection, b"key", self.now, prefer, members)
        self.assertEqual(json.loads(json.dumps(document)), document)
        got = selection.acquire(b"key", members, self.now, prefer)
        if isinstance(got, Ticket):
            self.assertEqual(document["pick"], got.member.record.id)
            got.release(Outcome.CANCELLED, self.now)
        else:
            self.assertEqual((document["pick"], document["why"]), (None, f"{got.reason}: {got.detail}"))
        return document

    def test_candidates_and_the_excluded(self) -> None:
        """Everybody is in one of the two lists, with a score or with every reason."""
        self.make(of("a"), of("b"), of("c"))
        self.member("b").admin = AdminState.DRAIN
        self.member("b").doubt()
        self.cluster.stale = True
        document = self.explained()
        self.assertEqual([(one["id"], one["score"]) for one in document["candidates"]], [("a", 0.0), ("c", 1.0)])
        [excluded] = document["excluded"]
        self.assertEqual((excluded["id"], excluded["reasons"]), ("b", ["admin state is drain"]))
        self.assertEqual((document["pick"], document["why"]), ("a", "picked by round_robin"))
        self.assertEqual((document["service"], document["key"], document["subset"]), ("pricing", "key", None))

    def test_whose_will_it_is(self) -> None:
        """Where a person is behind it, who and since when; for a weight as well."""
        self.make(of("a"), of("b"))
        drained, heavy = self.member("b"), self.member("a")
        drained.admin, drained.admin_by, drained.admin_since = AdminState.MAINT, "10.0.0.9 at gw-1", self.now
        drained.doubt()
        heavy.directed = Standing(9, self.now, "me")
        self.now += 200.0
        self.cluster.stale = True
        document = self.explained()
        self.assertEqual(
            document["excluded"][0]["reasons"], ["admin state is maint, for 3 min 20 s, by 10.0.0.9 at gw-1"]
        )
        self.assertEqual(document["candidates"][0]["weight_by"], "me")

    def test_lengths_of_time(self) -> None:
        """In two units at most."""
        expected = {-1.0: "0 s", 0.9: "0 s", 61.0: "1 min 1 s", 3600.0: "1 h", 187261.0: "2 d 4 h"}
        self.assertEqual({seconds: span(seconds) for seconds in expected}, expected)

    def test_asking_changes_nothing(self) -> None:
        """Neither the next pick, nor a count, nor a trial of a half-open breaker."""
        self.make(of("a"), of("b"), breaker=QUICK)
        self.trip("b")
        self.now = 5.0
        before = self.cluster.requests, self.member("b").picks
        for _ in range(5):
            self.assertEqual(explain(self.cluster.whole, b"", self.now)["pick"], "b")
        self.assertEqual((self.cluster.requests, self.member("b").picks), before)
        self.assertEqual([self.who() for _ in range(3)], ["b", "b", "a"])
        strategy = self.cluster.whole.strategy
        assert isinstance(strategy, FirstUntried)
        self.assertIs(strategy.members[0], self.member("a"))

    def test_every_way_of_having_nobody(self) -> None:
        """The words are those of the refusal that a request would get."""
        self.make()
        self.assertIn("no_instances", self.explained()["why"])
        self.make(of("a", limit=1))
        self.ticket()
        document = self.explained()
        self.assertIn("instances_full", document["why"])
        self.assertEqual(document["candidates"][0]["reasons"], ["full: 1 of 1 requests in flight"])
        self.make(of("a"), max_connections=1)
        self.ticket()
        self.assertIn("service_full", self.explained()["why"])
        self.make(of("a"))
        self.assertIn("all_tried", self.explained("a")["why"])
        self.make(of("a"), breaker=QUICK)
        self.trip("a")
        self.assertIn("circuit_open", self.explained()["why"])
        self.now = 5.0
        self.ticket(), self.ticket()
        self.assertIn("half-open", self.explained()["why"])

    def test_those_who_wait(self) -> None:
        """A newcomer would stand behind them, and hears so."""
        self.make(of("a", limit=1))
        self.ticket()
        self.wait()
        document = self.explained()
        self.assertEqual((document["waiting"], document["why"]), (1, "queued: 1 requests wait already"))

    def test_a_bound_client(self) -> None:
        """Its cookie is the reason, as long as its instance may take it."""
        self.make(of("a"), of("b", limit=1), breaker=QUICK)
        self.assertEqual(self.explained(prefer="b")["why"], "the client is bound to it by its cookie")
        self.ticket(prefer="b")
        self.assertEqual(self.explained(prefer="b")["pick"], "a")

    def test_a_trial(self) -> None:
        """A breaker that has to be tried is the reason; for a retry, a bound client or another subset it is none."""
        self.make(of("a", version="1"), of("b", version="2"), of("c", version="1"), breaker=QUICK)
        self.trip("b")
        self.now = 5.0
        self.assertIn("half open", self.explained()["why"])
        self.assertEqual(self.explained(prefer="a")["pick"], "a")
        self.assertEqual(self.explained("a")["pick"], "b")
        self.assertEqual(self.explained(subset=Subset("1"))["pick"], "a")

    def test_subsets_and_zones(self) -> None:
        """Who is of another subset is excluded for it; who is of another zone is no candidate, but helps out."""
        self.make(of("a", version="1", zone="x"), of("b", version="2", zone="y"), of("n", zone="y", limit=1), zone="y")
        document = self.explained(subset=Subset("2"))
        self.assertEqual(document["subset"], "version=2")
        why = {one["id"]: one["reasons"] for one in document["excluded"]}
        self.assertEqual(why["a"], ["not of the subset version=2"])
        document = self.explained()
        self.assertEqual([one["id"] for one in document["candidates"]], ["b", "n"])
        [excluded] = document["excluded"]
        self.assertEqual((excluded["id"], excluded["reasons"]), ("a", ["it is in another zone"]))
        self.assertEqual(self.explained("b", "n")["why"], "nobody of our own zone can take it")

    def test_whose_turn_it_is_in_another_zone(self) -> None:
        """A zone that is full spills over to the others in turn; who is named is who gets it."""
        self.make(*(of(name, zone="x") for name in "abc"), of("n", zone="y", limit=1), zone="y")
        self.ticket()
        named = [self.explained()["pick"] for _ in range(4)]
        self.assertEqual(sorted(named[:3]), ["a", "b", "c"])
        self.assertEqual(named[3], named[0])

    def test_no_panic_wanted(self) -> None:
        """Who is well and serves nobody because too few others are well is told so."""
        self.make(of("a"), of("b"), of("c"), panic="none", panic_threshold=50)
        for name in "bc":
            self.member(name).health.state = Health.UNHEALTHY
            self.member(name).doubt()
        self.cluster.stale = True
        document = self.explained()
        self.assertEqual(document["excluded"][0]["reasons"], ["too few of the others are well, and panic = none"])
        self.assertIsNone(self.explained(prefer="a")["pick"])

    def test_a_bound_client_in_a_panic(self) -> None:
        """Its instance serves as a last resort, and keeps it."""
        self.make(of("a"), of("b"))
        for name in "ab":
            self.member(name).health.state = Health.UNHEALTHY
            self.member(name).doubt()
        self.cluster.stale = True
        self.assertEqual(self.explained(prefer="b")["why"], "the client is bound to it by its cookie")

    def test_large_fleets_are_cut(self) -> None:
        """What is not listed is counted."""
        self.make(*(of(f"m{number:04}") for number in range(MOST + 5)))
        document = self.explained()
        self.assertEqual((len(document["candidates"]), document["candidates_total"]), (MOST, MOST + 5))

    def test_in_one_line(self) -> None:
        """For a header: strategy, numbers, the first scores, and how many more."""
        self.make(of("a"), of("b"))
        self.member("b").admin = AdminState.MAINT
        self.member("b").doubt()
        self.cluster.stale = True
        self.assertEqual(summary(self.explained()), "round_robin of 1 candidates, 1 excluded (a=0)")
        self.make(*(of(f"m{number:02}") for number in range(12)))
        self.assertIn("m09=9 and 2 more)", summary(self.explained()))
