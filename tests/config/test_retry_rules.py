"""Rules between the options of retries, deadlines and fallbacks."""

from __future__ import annotations

from tests.config.test_checks import RuleTests as _RuleTests
from tests.config.texts import good, problems, service


class RetryTests(_RuleTests):
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
