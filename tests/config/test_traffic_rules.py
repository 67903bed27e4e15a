"""Rules between the options of strategies, breakers, outliers, stickiness and limits."""

from __future__ import annotations

from tests.config.texts import RuleTests, good, launched, problems, service


class TrafficTests(RuleTests):
    def test_orders(self) -> None:
        """The least is not more than the most, whichever of the two was written."""
        for option, value, named in (
            ("circuit_breaker_reset_timeout", "2m", "circuit_breaker_max_reset_timeout"),
            ("circuit_breaker_max_reset_timeout", "1s", "circuit_breaker_reset_timeout"),
            ("outlier_ejection_time", "10m", "outlier_max_ejection_time"),
            ("adaptive_min", "2000", "adaptive_max"),
            ("adaptive_max", "5", "adaptive_min"),
            ("retry_backoff", "1s", "retry_max_backoff"),
        ):
            problem = self.only(service(f"{option} = {value}"))
            self.assertEqual((problem.option, problem.line, named in problem.message), (option, 3, True), problem)

    def test_cookies_that_browsers_refuse(self) -> None:
        """SameSite=None goes with Secure only."""
        problem = self.only(service("sticky_same_site = none", "sticky_secure = no"))
        self.assertEqual((problem.option, problem.hint), ("sticky_same_site", "write sticky_secure = yes"))
        self.assertEqual(problems(service("sticky_same_site = none", "sticky_secure = yes")), ())

    def test_a_hash_that_nobody_makes(self) -> None:
        """hash_on needs a strategy that hashes."""
        problem = self.only(service("hash_on = header:X-User"))
        self.assertEqual((problem.option, "round_robin, which hashes nothing" in problem.message), ("hash_on", True))

    def test_a_zone_that_nobody_knows(self) -> None:
        """To prefer its own zone the gateway has to know it."""
        problem = self.only(service("zone_preference = yes"))
        self.assertEqual((problem.option, problem.hint), ("zone_preference", "add zone = NAME to [mesh]"))
        self.assertEqual(problems("[mesh]\nzone = eu-1a\n" + service("zone_preference = yes")), ())

    def test_every_option_arrives(self) -> None:
        """What is written is what the parts are built with."""
        [spec] = good(
            service(
                "circuit_breaker_scope = both",
                "circuit_breaker_outcomes = connect_failed, timeout",
                "circuit_breaker_trials = 1",
                "outlier_consecutive = 3",
                "outlier_detection = no",
                "queue_length = 7",
                "queue_timeout = 10s",
                "adaptive_concurrency = yes",
                "sticky_sessions = yes",
                "sticky_cookie = shop-at",
                "sticky_lifetime = 1d",
                "slow_start = 1m",
                "panic_threshold = 30",
                "panic = none",
            )
        ).config.services
        self.assertEqual((spec.breaker.scope, spec.breaker.outcomes), ("both", ("connect_failed", "timeout")))
        self.assertEqual((spec.breaker.trials, spec.outlier.consecutive, spec.outlier.enabled), (1, 3, False))
        self.assertEqual((spec.queue.length, spec.queue.timeout, spec.adaptive.enabled), (7, 10.0, True))
        self.assertEqual((spec.sticky.enabled, spec.sticky.cookie, spec.sticky.lifetime), (True, "shop-at", 86400.0))
        self.assertEqual((spec.slow_start, spec.panic_threshold, spec.panic), (60.0, 30, "none"))

    def test_slips(self) -> None:
        """Values out of bounds and words that are none, each with what would be right."""
        for line in (
            "circuit_breaker_scope = all",
            "circuit_breaker_outcomes = cancelled",
            "circuit_breaker_trials = 0",
            "circuit_breaker_window = 0",
            "circuit_breaker_failure_rate = 101",
            "outlier_max_ejected = 200",
            "queue_length = -1",
            "queue_timeout = 0",
            "sticky_cookie = my cookie",
            "sticky_same_site = no",
            "panic = some",
            "panic_threshold = 101",
            "slow_start = soon",
        ):
            problem = self.only(service(line))
            self.assertEqual((problem.line, problem.option), (3, line.partition(" ")[0]), problem)

    def test_what_a_strategy_does_not_read(self) -> None:
        """A bound that nothing looks at, and reports that nobody sends, are told."""
        bound = "hash_balance_factor = 125"
        (note,) = good(service(bound)).config.notes
        self.assertEqual(note, "[service:shop] hash_balance_factor: only consistent_hash reads it, not round_robin")
        self.assertEqual(good(service(bound, "load_balancing_strategy = consistent_hash")).config.notes, ())
        (note,) = good(service("load_balancing_strategy = resource_based")).config.notes
        self.assertIn("fixed instances send no reports", note)
        command = launched("a", 1, "load_balancing_strategy = resource_based")
        self.assertEqual(good(command).config.notes, ())
