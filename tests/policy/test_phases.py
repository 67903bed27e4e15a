"""The table of a service's start, every pair of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.phases import Phase, Signal, move


class PhaseTests(SynchronousTestCase):
    def test_every_pair(self) -> None:
        """The whole table of phases and signals: six moves, stopping from anywhere, and nothing else."""
        moves = {
            (phase, signal): move(phase, signal)
            for phase in Phase
            for signal in Signal
            if move(phase, signal) is not phase and signal is not Signal.STOP
        }
        self.assertEqual(
            moves,
            {
                (Phase.WAITING, Signal.DEPENDENCIES_HEALTHY): Phase.STARTING,
                (Phase.WAITING, Signal.DEPENDENCY_LATE): Phase.BLOCKED,
                (Phase.BLOCKED, Signal.DEPENDENCIES_HEALTHY): Phase.STARTING,
                (Phase.STARTING, Signal.ENOUGH_HEALTHY): Phase.UP,
                (Phase.STARTING, Signal.TIMED_OUT): Phase.LATE,
                (Phase.LATE, Signal.ENOUGH_HEALTHY): Phase.UP,
            },
        )
        self.assertEqual({move(phase, Signal.STOP) for phase in Phase}, {Phase.STOPPED})
