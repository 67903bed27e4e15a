"""The fleet that is fed: everybody has a place of his own, and the registry takes him."""

from __future__ import annotations

import ipaddress

from twisted.trial.unittest import TestCase

from bench.registry.feeder import fleets
from wmesh.control.registry.codec import decode_record, encode_record


class Fleets(TestCase):
    def test_ten_thousand(self) -> None:
        records = list(fleets(["a=5000", "b=60000"], 9000))
        self.assertEqual([sum(record.service == name for record in records) for name in "ab"], [5000, 60000])
        self.assertEqual(len({record.address for record in records}), 65000)
        self.assertEqual(len({record.id for record in records}), 65000)
        self.assertTrue(all(ipaddress.ip_address(record.address.host).is_loopback for record in records))
        self.assertEqual(decode_record(encode_record(records[-1])), records[-1])
