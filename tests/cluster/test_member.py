"""Tests of wmesh.cluster.member: the verdict, and the words that explain it."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_member, a_record, a_spec
from wmesh.cluster.member import Member
from wmesh.model import AdminState, CheckSpec, Health


class MemberTests(SynchronousTestCase):
    def test_available_exactly_when_there_is_no_reason_against_it(self) -> None:
        """In every combination of will, evidence and load, the verdict and its explanation agree."""
        for admin, health, (limit, in_flight) in product(AdminState, Health, ((0, 9), (2, 1), (2, 2))):
            member = a_member(health=health, in_flight=in_flight)
            member.admin = admin
            member.limit = limit
            good = admin is AdminState.READY and health is Health.HEALTHY and (limit, in_flight) != (2, 2)
            self.assertEqual(member.available(0.0), good)
            self.assertEqual(member.reasons(0.0) == (), good)

    def test_every_reason_is_told(self) -> None:
        """Somebody who asks why an instance gets no requests hears all of it at once, in words."""
        member = a_member(health=Health.UNHEALTHY, in_flight=4)
        member.health.reason = "status 503"
        member.admin = AdminState.DRAIN
        member.limit = 4
        self.assertEqual(
            member.reasons(0.0),
            ("admin state is drain", "health is unhealthy: status 503", "full: 4 of 4 requests in flight"),
        )

    def test_a_new_one_waits_for_its_first_check(self) -> None:
        """An instance that has just appeared takes no request before a check said so, unless checks are off."""
        self.assertEqual(Member(a_record(), a_spec(), 0.0).reasons(0.0), ("health is unknown: not checked yet",))
        self.assertTrue(Member(a_record(), a_spec(check=CheckSpec(enabled=False)), 0.0).available(0.0))

    def test_limit_and_weight_come_from_spec_and_record(self) -> None:
        """What was configured for an instance is what it starts with."""
        member = Member(a_record(weight=7), a_spec(instance_max_connections=3), 12.5)
        self.assertEqual((member.weight, member.limit, member.since), (7, 3, 12.5))

    def test_its_repr_helps_debugging(self) -> None:
        """A member in a log line says which it is and how it is."""
        self.assertEqual(repr(a_member(in_flight=2)), "<Member pricing/p1 127.0.0.1:3007 HEALTHY 2 in flight>")
