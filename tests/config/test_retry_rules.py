"""Rules between the options of retries, deadlines and fallbacks."""

from __future__ import annotations

from tests.config.texts import RuleTests, good, problems, service


class RetryTests(RuleTests):
    def test_every_option_arrives(self) -> None:
        """What is written is what the parts are built with."""
        [spec] = good(
            service(
                "retry_attempts = 5",
                "retry_on = reset, timeout",
                "retry_budget = 10%",
                "retry_budget_min = 0",
                "retry_backoff = 50ms",
                "retry_max_backoff = 2s",
                "timeout_request = 20s",
                "deadline_header = X-Deadline",
            )
        ).config.services
        retry = spec.retry
        self.assertEqual((retry.attempts, retry.on, retry.budget, retry.budget_least), (5, ("reset", "timeout"), 10, 0))
        self.assertEqual((retry.backoff, retry.max_backoff), (0.05, 2.0))
        self.assertEqual((spec.timeout_request, spec.deadline_header), (20.0, "X-Deadline"))

    def test_headers_that_say_something_else(self) -> None:
        """A deadline in Host or Content-Length would break every request."""
        for name in ("Host", "content-length", "X-Request-Id", "X-Forwarded-For", "Via"):
            problem = self.only(service(f"deadline_header = {name}"))
            self.assertEqual((problem.option, "says something else" in problem.message), ("deadline_header", True))
        self.assertEqual(problems(service("deadline_header =")), ())

    def test_no_time_for_another(self) -> None:
        """A service whose whole time is that of one attempt is told so, where retries of time-outs are on."""
        lines = ("timeout_request = 10s", "timeout_first_byte = 10s")
        [note] = good(service(*lines)).config.notes
        self.assertIn("[service:shop] timeout_request: 10s is no more than timeout_first_byte (10s)", note)
        for more in ("retry_attempts = 0", "retry_on = reset"):
            self.assertEqual(good(service(*lines, more)).config.notes, ())
        self.assertEqual(good(service("timeout_request = 1m")).config.notes, ())

    def test_fallbacks_arrive(self) -> None:
        answer = ("fallback_status = 200", "fallback_body =\n  {\n    1}", "fallback_type = a/b; c=d")
        text = service("fallback = service:spare", *answer) + service(name="spare")
        own = good(text).config.services[0].fallback
        self.assertEqual((own.service, own.status, own.body, own.type), ("spare", 200, "{\n1}", "a/b; c=d"))

    def test_nobody_to_stand_in(self) -> None:
        """Another service that there is, and not the same one."""
        problem = self.only(service("fallback = service:spar") + service(name="spare"))
        self.assertEqual((problem.option, problem.hint), ("fallback", "did you mean spare?"))
        problem = self.only(service("fallback = service:shop"))
        self.assertEqual((problem.option, problem.message), ("fallback", "a service cannot stand in for itself"))
        for value in ("shop", "service:", "http://x", "service:A"):
            problem = self.only(service(f"fallback = {value}"))
            self.assertEqual(problem.hint, "write service:NAME", value)

    def test_fixed_answers(self) -> None:
        """One body, of a status that can have one, and no part of an answer that is none."""
        for status in (1, 100, 199, 204, 205, 304):
            self.assertEqual(self.only(service(f"fallback_status = {status}")).option, "fallback_status")
        for option in ("fallback_body = x", "fallback_file = x", "fallback_type = a/b"):
            problem = self.only(service(option))
            self.assertEqual((problem.option, problem.hint), (option.split()[0], "add fallback_status = 503"))
        problem = self.only(service("fallback_status = 503", "fallback_body = x", "fallback_file = y"))
        self.assertEqual((problem.option, problem.line), ("fallback_file", 5))
        self.assertEqual(self.only(service("fallback_status = 503", "fallback_type = html")).option, "fallback_type")

    def test_hedging(self) -> None:
        """It arrives; what can never come about is noted."""
        [spec] = good(service("hedge_delay = 200ms", "hedge_quantile = 95")).config.services
        self.assertEqual((spec.hedge.delay, spec.hedge.quantile, spec.hedge.enabled), (0.2, 95, True))
        self.assertFalse(good(service()).config.services[0].hedge.enabled)
        self.assertEqual(self.only(service("hedge_quantile = 100")).hint, "write a number from 0 to 99")
        [note] = good(service("hedge_delay = 20s")).config.notes
        self.assertIn("[service:shop] hedge_delay: 20s is no less than timeout_first_byte", note)
        [note] = good(service("hedge_quantile = 90", "sticky_sessions = yes")).config.notes
        self.assertIn("[service:shop] hedge_quantile: sticky_sessions bind clients", note)
        self.assertEqual(good(service("hedge_delay = 0", "sticky_sessions = yes")).config.notes, ())
