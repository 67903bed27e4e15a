"""Which port an instance gets, with a made-up machine and with the real one."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.launchers.ports import allocate_port, is_free
from wmesh.errors import LaunchError
from wmesh.model import ServiceSpec

PRICING = ServiceSpec("pricing", port=3007)


def all_but(*taken: int):
    return lambda host, port: port not in taken


class PortTests(SynchronousTestCase):
    def test_the_declared_one(self) -> None:
        """Free and nobody else's: that one."""
        self.assertEqual(allocate_port(PRICING, (), all_but()), 3007)

    def test_the_next_ones(self) -> None:
        """Ports of others (3008, 3009) and ports that are taken (3007, 3010) are passed over."""
        self.assertEqual(allocate_port(PRICING, {3008, 3009}, all_but(3007, 3010)), 3011)

    def test_none_left(self) -> None:
        """At the end of all ports that is said, not a port beyond it."""
        error = self.assertRaises(LaunchError, allocate_port, ServiceSpec("a", port=65534), (), all_but(65534, 65535))
        self.assertIn("no port from 65534 to 65535", str(error))

    def test_not_our_address(self) -> None:
        """A host that is not this machine's is told apart from ports in use, without trying them all."""
        error = self.assertRaises(LaunchError, allocate_port, ServiceSpec("a", host="192.0.2.1", port=3007), ())
        self.assertIn("no address of this machine", str(error))
        error = self.assertRaises(LaunchError, allocate_port, ServiceSpec("a", host="192.0.2.1"), ())
        self.assertIn("no address of this machine", str(error))

    def test_any(self) -> None:
        """Without a declared port the kernel chooses."""
        self.assertTrue(1024 <= allocate_port(ServiceSpec("a"), ()) <= 65535)

    def test_real_sockets(self) -> None:
        """A port that somebody listens on is not free, whatever address he listens on; afterwards it is."""
        with socket.create_server(("0.0.0.0", 0)) as server:
            port = server.getsockname()[1]
            self.assertFalse(is_free("127.0.0.1", port))
            self.assertNotEqual(allocate_port(ServiceSpec("a", port=port), ()), port)
        self.assertTrue(is_free("127.0.0.1", port))
