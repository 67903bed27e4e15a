"""What retries promise whatever happens: an end, no second POST, and no more of them than the budget allows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from wmesh.model import RetrySpec
from wmesh.policy.retry import STALE, STATUS, Budget, objection, pause

quick = settings(max_examples=200, deadline=None)

ON = RetrySpec().on
FAILURES = (*ON, STALE, STATUS)
SPECS = st.builds(
    RetrySpec,
    attempts=st.integers(0, 20),
    on=st.lists(st.sampled_from(ON), unique=True).map(tuple),
    budget=st.floats(0.5, 100.0),
    budget_least=st.integers(0, 20),
    backoff=st.floats(0.0, 60.0),
    max_backoff=st.floats(0.0, 60.0),
)


class RetryTests(SynchronousTestCase):
    @quick
    @given(SPECS, st.lists(st.tuples(st.sampled_from(FAILURES), st.booleans()), min_size=30, max_size=30))
    def test_every_request_comes_to_an_end(self, spec: RetrySpec, failures: list[tuple[str, bool]]) -> None:
        """However its attempts fail, it is sent no oftener than once and `attempts` times."""
        made = 0
        for outcome, sent in failures:
            made += 1
            if objection(spec, made, outcome, sent, True, True):
                break
        self.assertLessEqual(made, spec.attempts + 1)

    @quick
    @given(SPECS, st.integers(1, 30), st.sampled_from(FAILURES))
    def test_what_may_have_been_done_is_not_done_again(self, spec: RetrySpec, attempts: int, outcome: str) -> None:
        self.assertTrue(objection(spec, attempts, outcome, True, False, True))
        self.assertTrue(objection(spec, attempts, outcome, True, True, False))

    @quick
    @given(SPECS, st.integers(1, 30), st.booleans(), st.floats(0.0, 1.0, exclude_max=True))
    def test_pauses_are_bounded(self, spec: RetrySpec, retry: int, elsewhere: bool, chance: float) -> None:
        self.assertLessEqual(0.0, pause(spec, retry, elsewhere, chance))
        self.assertLessEqual(pause(spec, retry, elsewhere, chance), spec.max_backoff)

    @quick
    @given(SPECS, st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=100))
    def test_the_budget_holds(self, spec: RetrySpec, events: list[tuple[bool, int]]) -> None:
        """Whoever comes and goes, at no beginning of a retry are there more of them than its share and its least."""
        budget, out = Budget(spec), 0
        for begins, in_flight in events:
            if begins:
                most = max(spec.budget_least, in_flight * spec.budget / 100.0)
                self.assertEqual(budget.free(in_flight, 0, 0.0), granted := budget.take(in_flight, 0, 0.0))
                out += granted
                self.assertEqual(granted, out - granted < int(most))
            elif out:
                budget.give_back()
                out -= 1
            self.assertEqual(budget.active, out)
