"""Tests of wmesh.cluster.selection: who gets the ticket, subsets and zones, and the queue in front."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.cluster.selecting import QUICK, SelectionCase, of
from wmesh.cluster.cluster import NEVER
from wmesh.cluster.member import Member
from wmesh.cluster.outcome import Outcome, Refusal
from wmesh.cluster.ticket import Ticket
from wmesh.model import AdminState, Health, QueueSpec, Subset


class BoundTests(SelectionCase):
    def test_the_client_goes_where_it_is_bound(self) -> None:
        """Whatever the strategy would say."""
        self.make(of("a"), of("b"))
        self.assertEqual((self.who(), self.who(prefer="b")), ("a", "b"))

    def test_it_moves_where_its_instance_may_not_take_it(self) -> None:
        """Gone, drained, full, tried already, or of another subset."""
        self.make(of("a"), of("b", limit=1), of("c", version="2"))
        self.assertEqual(self.who(prefer="gone"), "a")
        self.member("c").admin = AdminState.DRAIN
        self.member("c").doubt()
        self.cluster.stale = True
        self.assertEqual(self.who(prefer="c"), "a")
        self.assertEqual(self.who(self.member("b"), prefer="b"), "a")
        self.assertEqual(self.who(prefer="b"), "b")
        self.assertEqual(self.who(prefer="b"), "a")
        self.member("c").admin = AdminState.READY
        self.member("c").doubt()
        self.cluster.stale = True
        self.assertEqual(self.who(prefer="a", subset=Subset("2")), "c")

    def test_it_stays_in_a_panic(self) -> None:
        """An instance that serves as a last resort keeps its clients: else each request would bind them anew. Where
        nobody is to serve, that goes for bound clients, too."""
        for panic, expected in (("any", "b"), ("none", "no_healthy_instance")):
            self.make(of("a"), of("b"), of("c"), panic=panic, panic_threshold=70)
            for name in ("b", "c"):
                self.member(name).health.state = Health.UNHEALTHY
                self.member(name).doubt()
            self.cluster.stale = True
            got = self.acquire(prefer="b")
            self.assertEqual(got.reason if isinstance(got, Refusal) else got.member.record.id, expected)
        self.assertIsInstance(self.acquire(prefer="a"), Refusal)

    def test_a_panic_is_none_of_the_operators(self) -> None:
        """It binds nobody to one that was taken out, or that was never well."""
        self.make(of("a"), of("b"), of("c"), panic_threshold=70)
        for name in ("a", "b", "c"):
            self.member(name).health.state = Health.UNHEALTHY
            self.member(name).doubt()
        self.member("b").admin = AdminState.DRAIN
        self.member("c").health.proven = False
        self.cluster.stale = True
        self.assertEqual([self.who(prefer=name) for name in "abc"], ["a", "a", "a"])

    def test_a_bound_client_is_nobodys_trial(self) -> None:
        """A half-open breaker is tried with those who have no instance of their own, or it would rebind them."""
        self.make(of("a"), of("b"), breaker=QUICK)
        self.trip("b")
        self.now = 5.0
        self.assertEqual((self.who(prefer="a"), self.who()), ("a", "b"))


class TrialTests(SelectionCase):
    def test_trials_come_first_and_are_counted(self) -> None:
        """A half-open breaker gets its trials at once, as many as it may, and nobody else meanwhile."""
        self.make(of("a"), of("b"), breaker=QUICK)
        self.trip("b")
        self.assertEqual(self.who(), "a")
        self.now = 5.0
        self.assertEqual([self.who() for _ in range(4)], ["b", "b", "a", "a"])

    def test_a_trial_is_no_retry(self) -> None:
        """A request that failed once goes where it is likely to be served."""
        self.make(of("a"), of("b"), of("c"), breaker=QUICK)
        self.trip("c")
        self.now = 5.0
        self.assertEqual(self.who(self.member("a")), "b")

    def test_a_trial_belongs_to_its_subset(self) -> None:
        """A route for version 1 does not try an instance of version 2."""
        self.make(of("a", version="1"), of("b", version="2"), breaker=QUICK)
        self.trip("b")
        self.now = 5.0
        self.assertEqual(self.who(subset=Subset("1")), "a")

    def test_alone_and_all_trials_out(self) -> None:
        """Then it is said so, and when to come again; when one client leaves, another may try."""
        self.make(of("a"), breaker=QUICK)
        self.trip("a")
        refused = self.refusal()
        self.assertEqual((refused.reason, refused.retry_after, refused.passing), ("circuit_open", 5, False))
        self.now = 5.0
        held = [self.ticket() for _ in range(2)]
        self.assertIn("half-open", self.refusal().detail)
        held[0].release(Outcome.CANCELLED, self.now)
        self.ticket().release(Outcome.OK, self.now)
        held[1].release(Outcome.OK, self.now)
        self.assertEqual([self.who() for _ in range(5)], ["a"] * 5)


class ServiceBreakerTests(SelectionCase):
    def make_guarded(self) -> None:
        self.make(of("a"), of("b"), breaker=replace(QUICK, scope="service", min_calls=2, failures=2))
        self.events: list[Any] = []
        self.cluster.tell = self.events.append

    def moves(self) -> list[tuple[str, str]]:
        return [(event.old, event.new) for event in self.events]

    def test_the_whole_way_round_is_told(self) -> None:
        """Open, half open, closed: each change is an event, once, though no instance changed."""
        self.make_guarded()
        for _ in range(2):
            self.ticket().release(Outcome.SERVER_ERROR, self.now)
        self.assertEqual((self.refusal().reason, self.cluster.in_flight), ("circuit_open", 0))
        self.now = 5.0
        held = [self.ticket(), self.ticket()]
        self.assertEqual(self.refusal().reason, "circuit_open")
        for each in held:
            each.release(Outcome.OK, self.now)
        self.ticket()
        self.assertEqual(self.moves(), [("closed", "open"), ("open", "half_open"), ("half_open", "closed")])

    def test_a_trial_that_nobody_could_take_is_given_back(self) -> None:
        """Its instances being gone for a moment does not use the trials up."""
        self.make_guarded()
        for _ in range(2):
            self.ticket().release(Outcome.SERVER_ERROR, self.now)
        self.now = 5.0
        for _ in range(10):
            self.assertEqual(self.refusal(self.member("a"), self.member("b")).reason, "all_tried")
        self.ticket()

    def test_time_alone_is_told_too(self) -> None:
        """Without a request the review finds out that it may be tried."""
        self.make_guarded()
        for _ in range(2):
            self.ticket().release(Outcome.SERVER_ERROR, self.now)
        self.cluster.review(5.0)
        self.assertEqual(self.moves()[-1], ("open", "half_open"))


class SubsetTests(SelectionCase):
    def test_only_its_members(self) -> None:
        """By version, by tags, by both; equal subsets share one selection."""
        self.make(of("a", version="1"), of("b", version="2", tags=("canary", "eu")), of("c", version="2"))
        two = self.cluster.select(Subset("2"))
        self.assertIs(self.cluster.select(Subset("2")), two)
        self.assertIs(self.cluster.select(Subset()), self.cluster.whole)
        self.assertEqual(self.who(subset=Subset("2", ("canary",))), "b")
        self.assertEqual(self.who(self.member("b"), subset=Subset("2")), "c")
        self.assertEqual(self.who(subset=Subset("", ("eu", "canary"))), "b")

    def test_an_empty_subset(self) -> None:
        """It is said that the subset has nobody, though the service has."""
        self.make(of("a", version="1"))
        refused = self.refusal(subset=Subset("9", ("x",)))
        self.assertEqual(refused.reason, "no_instances")
        self.assertIn("subset version=9 tag=x", refused.detail)

    def test_a_full_subset_waits(self) -> None:
        """That others have room is nothing to it; it says what is the case, and may wait in the queue."""
        self.make(of("a", version="1"), of("b", version="2", limit=1))
        held = self.ticket(subset=Subset("2"))
        refused = self.refusal(subset=Subset("2"))
        self.assertEqual((refused.reason, refused.passing), ("instances_full", True))
        self.wait(self.cluster.select(Subset("2")))
        held.release(Outcome.OK, 1.0)
        [granted] = self.told
        assert isinstance(granted, Ticket)
        self.assertEqual(granted.member.record.id, "b")


class ZoneTests(SelectionCase):
    def test_near_ones_are_preferred_while_most_of_them_are_well(self) -> None:
        """Half of our zone is enough; with less, all zones share the load."""
        self.make(of("a", zone="x"), of("b", zone="y"), of("c", zone="y"), zone="y")
        self.assertEqual(self.who(), "b")
        self.member("b").admin = AdminState.DRAIN
        self.member("b").doubt()
        self.cluster.stale = True
        self.assertEqual(self.who(), "c")
        self.make(of("a", zone="x"), *(of(name, zone="y") for name in "bcd"), zone="y")
        for name in "bc":
            self.member(name).admin = AdminState.DRAIN
            self.member(name).doubt()
        self.cluster.stale = True
        self.assertEqual(self.who(), "a")

    def test_no_zones_in_a_panic(self) -> None:
        """When the evidence is not believed, those of another zone that it is good of are not left out."""
        near, far = [of(name, zone="y") for name in "bcd"], of("a", zone="x")
        for member in near:
            member.health.state = Health.UNHEALTHY
        self.make(far, *near, zone="y", panic_threshold=50)
        self.assertEqual((self.who(), self.cluster.panicking), ("a", True))
        self.assertEqual(len(self.cluster.whole.members), 4)

    def test_far_ones_help_out(self) -> None:
        """A full zone spills over, and a retry finds another zone, each of its members in turn."""
        self.make(of("a", zone="x"), of("b", zone="x"), of("n", zone="y", limit=1), zone="y")
        self.assertEqual([self.who() for _ in range(3)], ["n", "b", "a"])
        self.assertIn(self.who(self.member("n")), "ab")
        self.assertTrue(self.cluster.whole.others((self.member("n"),)))
        self.assertFalse(self.cluster.whole.others(tuple(self.cluster.members.values())))
        self.assertEqual(self.refusal(*self.cluster.members.values()).reason, "all_tried")

    def test_nobody_near(self) -> None:
        """A gateway alone in its zone uses the others."""
        self.make(of("a", zone="x"), of("b"), zone="y")
        self.assertEqual(self.who(), "a")


class ManyTests(SelectionCase):
    def test_the_one_with_room_is_found_among_many(self) -> None:
        """However many are full, a place that is free is given away."""
        self.make(*(of(f"m{number:03}", limit=1) for number in range(50)))
        held = [self.ticket() for _ in range(50)]
        self.assertEqual(sorted(one.member.record.id for one in held), sorted(self.cluster.members))
        self.assertEqual(self.refusal().reason, "instances_full")
        held[33].release(Outcome.OK, 0.0)
        self.assertEqual(self.who(), "m033")

    def test_a_freed_place_costs_no_look_at_all_of_them(self) -> None:
        """With thousands of full members a returned ticket goes to who waits, in a few steps."""
        self.make(*(of(f"m{number:04}", limit=1) for number in range(2000)), max_connections=0)
        held = [self.ticket() for _ in range(2000)]
        for _ in range(3):
            self.wait()
        asked = []
        strategy = self.cluster.whole.strategy
        pick = strategy.pick
        strategy.pick = lambda *given: asked.append(1) or pick(*given)  # type: ignore[method-assign,func-returns-value]
        self.patch(Member, "full", lambda member, full=Member.full: asked.append(1) or full(member))
        held[1777].release(Outcome.OK, 0.0)
        self.assertEqual([one.member.record.id for one in self.told if isinstance(one, Ticket)], ["m1777"])
        self.assertLess(len(asked), 50)


class QueueTests(SelectionCase):
    def full_house(self, **spec: Any) -> Ticket:
        """One member with one place, which is taken by this ticket."""
        self.make(of("a", limit=1), **spec)
        return self.ticket()

    def test_in_order(self) -> None:
        """First come, first served; each is told once, and newcomers stand behind."""
        held = self.full_house()
        order: list[int] = []
        for number in range(3):
            self.cluster.whole.wait(
                b"", (), 0.0, "", NEVER, lambda ticket, n=number: order.append(n) or self.told.append(ticket), print
            )
        self.assertEqual(self.cluster.queued(), 3)
        for _ in range(3):
            held.release(Outcome.OK, 0.1)
            if len(order) < 3:
                self.assertEqual((self.refusal().reason, self.refusal().passing), ("queued", True))
            ticket = self.told[-1]
            assert isinstance(ticket, Ticket)
            held = ticket
        self.assertEqual((order, self.cluster.queued(), self.cluster.waiting), ([0, 1, 2], 0, []))
        held.release(Outcome.OK, 0.2)
        self.assertEqual(self.cluster.in_flight, 0)

    def test_the_nearest_deadline_first(self) -> None:
        """Who can wait less is served before who can wait longer."""
        held = self.full_house()
        late, soon = self.wait(deadline=4.0), self.wait(deadline=2.0)
        held.release(Outcome.OK, 0.1)
        self.assertEqual((late.selection is None, soon.selection is None), (False, True))

    def test_a_full_queue(self) -> None:
        """It is bounded over all selections together; and where none may wait, that is said."""
        self.full_house(queue=QueueSpec(2))
        self.wait()
        self.wait(self.cluster.select(Subset("1")))
        refused = self.offer()
        assert isinstance(refused, Refusal)
        self.assertEqual((refused.reason, refused.detail), ("queue_full", "2 requests wait already"))
        self.full_house(queue=QueueSpec(0))
        refused = self.offer()
        assert isinstance(refused, Refusal)
        self.assertEqual(refused.detail, "requests do not wait here")

    def test_who_waited_too_long(self) -> None:
        """All whose time is over are refused, each once, with how long it was and why; the others wait on."""
        self.full_house(queue=QueueSpec(100, 5.0))
        for _ in range(12):
            self.wait()
        self.now = 1.0
        stays = self.wait()
        self.cluster.review(5.5)
        self.assertEqual(len(self.told), 12)
        refused = self.told[0]
        assert isinstance(refused, Refusal)
        self.assertEqual(refused.reason, "queue_timeout")
        self.assertEqual(refused.detail, "waited 5.5 s; every instance has its limit of requests in flight")
        self.assertIsNotNone(stays.selection)
        self.assertEqual(self.cluster.queued(), 1)

    def test_a_place_that_is_free_is_better_than_a_refusal(self) -> None:
        """Whose time is over just when his turn comes is served."""
        held = self.full_house(queue=QueueSpec(100, 5.0))
        self.wait()
        held.release(Outcome.OK, 5.0)
        self.assertIsInstance(self.told[0], Ticket)

    def test_who_leaves_is_told_nothing(self) -> None:
        """Neither at once nor later; leaving twice is leaving once, and his place goes to the next."""
        held = self.full_house()
        first, second = self.wait(), self.wait()
        first.leave()
        first.leave()
        self.assertEqual(self.cluster.queued(), 1)
        held.release(Outcome.OK, 0.1)
        self.assertEqual(len(self.told), 1)
        second.leave()
        self.assertEqual((self.cluster.queued(), self.cluster.waiting), (0, []))

    def test_those_who_left_are_not_kept(self) -> None:
        """A crowd that comes and goes behind somebody who waits takes no memory."""
        self.full_house(queue=QueueSpec(10, 3600.0))
        self.wait()
        for _ in range(5000):
            self.wait().leave()
        self.assertLess(len(self.cluster.whole._queue), 200)
        self.assertEqual(self.cluster.queued(), 1)

    def test_no_hope_left(self) -> None:
        """When the last instance is taken out, nobody is kept waiting for it."""
        self.full_house()
        for _ in range(10):
            self.wait()
        self.member("a").admin = AdminState.MAINT
        self.member("a").doubt()
        self.cluster.stale = True
        self.cluster.review(0.5)
        self.assertEqual([one.reason for one in self.told if isinstance(one, Refusal)], ["no_healthy_instance"] * 10)
        self.assertEqual(self.cluster.queued(), 0)

    def test_more_than_one_place(self) -> None:
        """Who is eligible anew has room for several: all of them are called at the next look."""
        self.full_house()
        for _ in range(4):
            self.wait()
        fresh = of("b", limit=3)
        self.cluster.members["b"] = fresh
        self.cluster.stale = True
        self.cluster.review(0.5)
        self.assertEqual([one.member for one in self.told if isinstance(one, Ticket)], [fresh] * 3)
        self.assertEqual(self.cluster.queued(), 1)

    def test_a_retry_in_front_does_not_hold_up_the_others(self) -> None:
        """Whoever has tried the one that is free lets those behind him pass, and keeps his place."""
        self.make(of("a", limit=1), of("b", limit=1))
        held = [self.ticket(), self.ticket()]
        picky = self.wait(deadline=3.0, tried=(held[0].member,))
        plain = self.wait(deadline=4.0)
        held[0].release(Outcome.OK, 0.1)
        self.assertEqual((picky.selection is None, plain.selection is None), (False, True))
        held[1].release(Outcome.OK, 0.1)
        self.assertIsNone(picky.selection)
        self.assertEqual(len(self.told), 2)

    def test_one_who_gives_it_back_at_once(self) -> None:
        """A ticket that is returned before the teller has ended (a connection that cannot even be begun) is lost to
        nobody: the next one gets it."""
        held = self.full_house()
        served: list[int] = []

        def granted(ticket: Ticket, number: int) -> None:
            served.append(number)
            ticket.release(Outcome.CANCELLED, 0.1)

        for number in range(20):
            self.cluster.whole.wait(b"", (), 0.0, "", NEVER, lambda t, n=number: granted(t, n), self.told.append)
        held.release(Outcome.OK, 0.1)
        self.assertEqual((served, self.told, self.cluster.in_flight), (list(range(20)), [], 0))

    def test_another_place_that_is_freed_meanwhile(self) -> None:
        """Who is told gives back a ticket of somebody else: that place, too, is given to who waits."""
        self.make(of("a", limit=1), of("b", limit=1))
        held = [self.ticket(), self.ticket()]

        def granted(ticket: Ticket) -> None:
            self.told.append(ticket)
            held[1].release(Outcome.OK, 0.1)

        self.cluster.whole.wait(b"", (), 0.0, "", NEVER, granted, self.told.append)
        self.wait()
        held[0].release(Outcome.OK, 0.1)
        self.assertEqual([one.member.record.id for one in self.told if isinstance(one, Ticket)], ["a", "b"])

    def test_an_instance_that_breaks_meanwhile(self) -> None:
        """Failures while the queue is being served count at once: no more are sent to who was just taken out."""
        self.make(of("a"), of("b"), breaker=QUICK, max_connections=1)
        held = self.ticket(self.member("b"))
        sent: list[str] = []

        def granted(ticket: Ticket) -> None:
            sent.append(ticket.member.record.id)
            ticket.release(Outcome.CONNECT_FAILED if ticket.member.record.id == "a" else Outcome.CANCELLED, 0.1)

        for _ in range(4):
            self.cluster.whole.wait(b"", (), 0.0, "", NEVER, granted, self.told.append)
        held.release(Outcome.OK, 0.1)
        self.assertEqual(sent, ["a", "b", "b", "b"])

    def test_an_error_of_the_one_who_is_told(self) -> None:
        """It loses neither those who were passed over nor those behind."""
        self.make(of("a", limit=1), of("b", limit=1))
        held = [self.ticket(), self.ticket()]
        picky = self.wait(deadline=1.0, tried=(held[0].member,))

        def broken(ticket: Ticket) -> None:
            raise RuntimeError("of the teller")

        self.cluster.whole.wait(b"", (), 0.0, "", 2.0, broken, self.told.append)
        last = self.wait(deadline=3.0)
        self.assertRaises(RuntimeError, held[0].release, Outcome.OK, 0.1)
        self.assertEqual(self.cluster.queued(), 2)
        held[1].release(Outcome.OK, 0.1)
        self.assertIsNone(picky.selection)
        self.assertIsNotNone(last.selection)

    def test_the_strategy_says_who_takes_it(self) -> None:
        """Where only the service has a limit, who failed fast and is free again first is not preferred."""
        self.make(of("a"), of("b"), max_connections=2)
        self.ticket()
        bad = self.ticket(self.member("a"))
        self.wait()
        bad.release(Outcome.SERVER_ERROR, 0.001)
        [granted] = self.told
        assert isinstance(granted, Ticket)
        self.assertEqual(granted.member.record.id, "a")
