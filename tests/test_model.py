"""Tests of wmesh.model: what records promise by being records."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from wmesh import model
from wmesh.model import (
    Address,
    CheckSpec,
    GatewaySpec,
    InstanceRecord,
    MeshConfig,
    MeshSpec,
    RegistrySpec,
    RouteSpec,
    ServiceSpec,
)


class AddressTests(SynchronousTestCase):
    def test_it_is_written_as_in_a_url(self) -> None:
        """An IPv6 address stands in brackets, so that its port can be told from it."""
        self.assertEqual(str(Address("127.0.0.1", 3007)), "127.0.0.1:3007")
        self.assertEqual(str(Address("::1", 3007)), "[::1]:3007")
        self.assertEqual(str(Address("pricing.internal", 80)), "pricing.internal:80")

    def test_they_can_be_sorted(self) -> None:
        """Ports sort as numbers."""
        self.assertLess(Address("127.0.0.1", 80), Address("127.0.0.1", 3007))


class RecordTests(SynchronousTestCase):
    def records(self) -> list[type[Any]]:
        return [thing for thing in vars(model).values() if isinstance(thing, type) and is_dataclass(thing)]

    def test_all_are_frozen_and_slotted(self) -> None:
        """A record can be shared between planes because nobody can change it."""
        for record in self.records():
            self.assertTrue(hasattr(record, "__slots__"), record)
            self.assertTrue(record.__dataclass_params__.frozen, record)
        address = Address("127.0.0.1", 1)
        self.assertRaises(FrozenInstanceError, setattr, address, "port", 2)

    def test_all_can_be_members_of_sets(self) -> None:
        """Equal records are one, so that changes are found by comparing."""
        one, same = (InstanceRecord("pricing", "p1", Address("::1", 1), tags=("a",)) for _ in range(2))
        self.assertEqual(len({one, same}), 1)
        self.assertEqual(len({ServiceSpec("a"), ServiceSpec("a"), ServiceSpec("b")}), 2)
        self.assertEqual(len({GatewaySpec(), GatewaySpec()}), 1)

    def test_what_has_a_default_can_be_left_out(self) -> None:
        """A service is declared by its name alone, and is then checked, reached and closed with sane bounds."""
        spec = ServiceSpec("any")
        self.assertEqual((spec.strategy, spec.protocol, spec.scaling.max_instances), ("round_robin", "http", 1))
        for field in fields(spec):
            # A whole request may take as long as it likes, as long as something moves.
            if field.name.startswith(("timeout", "start_", "stop_")) and field.name != "timeout_request":
                self.assertGreater(getattr(spec, field.name), 0.0, field.name)

    def test_checks_default_to_what_the_manual_says(self) -> None:
        """Every 15 seconds, 5 seconds to answer, 3 failures to fall, 200 or 204 is good."""
        check = CheckSpec()
        self.assertEqual((check.interval, check.timeout, check.fall), (15.0, 5.0, 3))
        self.assertEqual(check.expected_status, ((200, 200), (204, 204)))

    def test_a_route_is_written_as_it_is_configured(self) -> None:
        """Host and prefix, or the prefix alone."""
        self.assertEqual(str(RouteSpec("shop.example", "/api/")), "shop.example/api/")
        self.assertEqual(str(RouteSpec("", "/api/")), "/api/")


class SecretTests(SynchronousTestCase):
    def test_the_registry_password_is_in_no_repr(self) -> None:
        """A configuration that ends up in a log or a traceback gives no password away."""
        registry = RegistrySpec(url="redis://:s3cret@redis.internal:6379/0")
        config = MeshConfig(MeshSpec(), GatewaySpec(), registry, ())
        self.assertNotIn("s3cret", repr(config) + str(config) + repr(registry))


class OnRouteTests(SynchronousTestCase):
    def test_laid_over(self) -> None:
        """A route's options take the place of the service's, field by field, and nothing else changes."""
        spec = ServiceSpec("shop", timeout_idle=5.0)
        own = (("retry.attempts", 0), ("retry.backoff", 0.2), ("timeout_request", 1.0))
        changed = spec.on(RouteSpec("", "/pay/", options=own))
        retry = replace(spec.retry, attempts=0, backoff=0.2)
        self.assertEqual(changed, replace(spec, retry=retry, timeout_request=1.0))
        self.assertIs(spec.on(RouteSpec("", "/")), spec)
