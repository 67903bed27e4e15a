"""Behaviours: means that hold, faults that come and go, and bad ones refused with what would be right."""

from __future__ import annotations

import random

from twisted.trial.unittest import TestCase

from bench.faults.behaviour import SERVICES, Behaviour


class ServiceTimes(TestCase):
    def mean(self, behaviour: Behaviour, fault: str = "none", age: float = 0.0) -> float:
        draw = random.Random(1)
        return sum(behaviour.seconds(draw, fault, age) for _ in range(50_000)) / 50_000

    def test_all_distributions_have_the_mean(self) -> None:
        for service in SERVICES:
            self.assertApproximates(self.mean(Behaviour(mean=1.0, service=service)), 1.0, 0.04, service)

    def test_bimodal_has_two_values(self) -> None:
        draw = random.Random(1)
        behaviour = Behaviour(mean=2.0, service="bimodal")
        self.assertEqual({behaviour.seconds(draw, "none", 0.0) for _ in range(1000)}, {1.0, 21.0})

    def test_slow(self) -> None:
        self.assertEqual(self.mean(Behaviour(mean=1.0, service="constant", slow_by=20), "slow"), 20.0)

    def test_cold_gets_warm(self) -> None:
        behaviour = Behaviour(mean=1.0, service="constant", slow_by=21, cold=4.0)
        draw = random.Random(1)
        self.assertEqual([behaviour.seconds(draw, "none", age) for age in (0.0, 2.0, 4.0, 9.0)], [21.0, 11.0, 1.0, 1.0])


class Faults(TestCase):
    def test_there_all_the_time(self) -> None:
        self.assertEqual({Behaviour(fault="error").fault_at(since) for since in (0.0, 3.5, 99.0)}, {"error"})

    def test_flapping(self) -> None:
        behaviour = Behaviour(fault="error", flap=3.0)
        found = [behaviour.fault_at(since) for since in (0.0, 2.9, 3.0, 5.9, 6.0)]
        self.assertEqual(found, ["error", "error", "none", "none", "error"])


class Json(TestCase):
    def test_there_and_back(self) -> None:
        behaviour = Behaviour(mean=0.5, service="bimodal", fault="reset", health="fails", flap=1.5, workers=3, cold=2.0)
        self.assertEqual(Behaviour.from_json(behaviour.as_json()), behaviour)

    def test_bad_ones_are_refused(self) -> None:
        for text, words in (
            ('{"fault": "eror"}', "fault is 'eror'; known are none, error"),
            ('{"health": 1}', "health is 1; known are ok"),
            ('{"mean": -1}', "mean is -1; it must be a number, zero or more"),
            ('{"mean": "7ms"}', "mean is '7ms'"),
            ('{"flap": NaN}', "flap is nan"),
            ('{"speed": 3}', "a JSON object of mean, service, fault"),
            ("[]", "is no behaviour"),
            ("{", "Expecting property name"),
        ):
            with self.assertRaises(ValueError) as caught:
                Behaviour.from_json(text)
            self.assertIn(words, str(caught.exception))
