"""A play: the fault begins and ends when it says so, and everything that was asked is there in the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from unittest.mock import patch

from twisted.trial.unittest import TestCase

from bench.faults.behaviour import Behaviour
from bench.faults.crowd import failures
from bench.faults.fleet import Fleet
from bench.faults.instances import Control, Instance
from bench.faults.play import Play, play
from bench.faults.scenarios import BAD, INSTANCES, Scenario
from tests.bench.faults.test_instances import QUICK, free_port

RATE = 400.0


class Order(TestCase):
    def play(self, scenario: Scenario) -> Play:
        """Without a proxy: the crowd asks the bad one itself."""

        async def whole() -> Play:
            control = free_port()
            instances = [Instance(f"i{index}", free_port()) for index in range(INSTANCES)]
            for each in instances:
                await each.become(QUICK)
            server = await asyncio.start_server(Control(instances).serve, "127.0.0.1", control)
            async with Fleet(control, INSTANCES) as fleet:
                played = await play(scenario, instances[BAD].port, fleet, 0.1)
            self.assertEqual([each.behaviour for each in instances], [QUICK] * INSTANCES)
            server.close()
            for each in instances:
                each.close()
            return played

        with patch("bench.faults.play.AFTER", 0.1):
            return asyncio.run(whole())

    def test_before_during_after(self) -> None:
        scenario = Scenario("x", "", {BAD: Behaviour(fault="error")}, usual=QUICK, settle=0.1, stretch=2.0)
        played = self.play(replace(scenario, rates=(RATE, 2 * RATE, RATE)))
        parts = (
            [each for each in played.requests if each.due < played.began],
            [each for each in played.requests if played.began <= each.due < played.ended],
            [each for each in played.requests if each.due >= played.ended],
        )
        self.assertEqual([len(part) for part in parts], [40, 160, 40])
        self.assertEqual([failures(part) for part in parts], [{}, {"500": 160}, {}])
        self.assertEqual([index for _, index in played.arrivals], [BAD] * 240)
        self.assertTrue(played.began < played.ended < played.over)
