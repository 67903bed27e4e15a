"""What clients see when instances fail: each fault of `bench.faults` against a real gateway.

Bounds are wide: they tell a gateway that does something about a fault from one that does not, not a good one from a
better one; that is what `python -m bench.faults` is for. Every scenario ends only when all instances have their share
again and no request fails any more, so that none of them has to say so.
"""

from __future__ import annotations

from dataclasses import replace

import pytest_twisted

from bench.faults.scenarios import BAD, SCENARIOS, one
from tests.scenarios.faults import through
from tests.scenarios.stage import Stage

REQUESTS = 400
"""During the fault; a fifth of them would be the share of the bad one."""
FEW = 30
"""What it may take to find out, and to try again now and then."""
LITTLE = 0.1


@pytest_twisted.ensureDeferred
async def test_uneven_service_times(stage: Stage) -> None:
    """Nothing is wrong but that some requests take much longer than others."""
    seen = await through(stage, SCENARIOS["uneven"], 2 * REQUESTS)
    assert not seen.failed
    assert min(seen.reached[index] for index in range(5)) > seen.reached.total() / 10, seen.reached


@pytest_twisted.ensureDeferred
async def test_fast_500s(stage: Stage) -> None:
    """Health checks do not see it. What fails fast is free first, which must not attract."""
    seen = await through(stage, SCENARIOS["errors"], REQUESTS)
    assert not seen.failed
    assert seen.share < LITTLE


@pytest_twisted.ensureDeferred
async def test_twenty_times_slower(stage: Stage) -> None:
    """Health checks do not see it either, but who chooses by requests in flight does."""
    seen = await through(stage, SCENARIOS["slow"], REQUESTS)
    assert not seen.failed
    assert seen.share < LITTLE


@pytest_twisted.ensureDeferred
async def test_killed(stage: Stage) -> None:
    """What it was working on is done again elsewhere, and so is what meets the closed port."""
    assert not (await through(stage, SCENARIOS["refuse"], REQUESTS)).failed


@pytest_twisted.ensureDeferred
async def test_accepts_and_hangs(stage: Stage) -> None:
    """Checks find out; what was sent before is done again elsewhere."""
    seen = await through(stage, SCENARIOS["hang"], REQUESTS)
    assert not seen.failed
    assert seen.share < LITTLE


@pytest_twisted.ensureDeferred
async def test_hangs_but_is_well_by_its_own_account(stage: Stage) -> None:
    """Only those who wait for its answers can know."""
    seen = await through(stage, SCENARIOS["hang-grey"], REQUESTS)
    assert not seen.failed
    assert seen.share < LITTLE


@pytest_twisted.ensureDeferred
async def test_resets_in_the_middle_of_answers(stage: Stage) -> None:
    """Nobody can hide that: it is too late. Clients must see that the answer is broken, and it must not last."""
    seen = await through(stage, SCENARIOS["reset"], REQUESTS)
    assert set(seen.failed) == {"cut"}
    assert seen.failed.total() <= FEW, seen.failed
    assert seen.share < LITTLE


@pytest_twisted.ensureDeferred
async def test_flapping(stage: Stage) -> None:
    """Ill and well by turns, quicker than checks can follow: it is not trusted again each time."""
    scenario = replace(SCENARIOS["flapping"], during=one(fault="error", health="follows", flap=0.2))
    seen = await through(stage, scenario, 2 * REQUESTS)
    assert not seen.failed


@pytest_twisted.ensureDeferred
async def test_cold_start(stage: Stage) -> None:
    """An instance that joins is not given its whole share at once; in turns, for nothing else would hold back. It
    joins late enough to be newer than the others."""
    settings = {"load_balancing_strategy": "weighted_round_robin"}
    seen = await through(stage, SCENARIOS["cold"], REQUESTS // 2, settings, before=4 * REQUESTS)
    assert not seen.failed
    assert 0 < seen.share < LITTLE


@pytest_twisted.ensureDeferred
async def test_all_checks_fail(stage: Stage) -> None:
    """When nobody is left by what checks say, the checks are more likely wrong than everybody is dead."""
    seen = await through(stage, SCENARIOS["checks-fail"], REQUESTS)
    assert not seen.failed
    assert seen.reached[BAD]


@pytest_twisted.ensureDeferred
async def test_overload_and_recovery(stage: Stage) -> None:
    """More is asked than all can do. They do what they can, the others hear so at once, and afterwards it is over."""
    seen = await through(stage, SCENARIOS["overload"], 2 * REQUESTS)
    assert set(seen.failed) == {"503"}
    assert seen.good > len(seen.during) / 2, seen.failed
