"""What a started program is told of itself."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from wmesh.control.launchers.identity import environment_of
from wmesh.model import Address, InstanceRecord


class EnvironmentTests(SynchronousTestCase):
    def test_ours_and_its_identity(self) -> None:
        """Everything that we were given, and who it is; what we may be ourselves in a mesh is not passed on."""
        self.patch(os, "environ", {"PATH": "/bin", "WMESH_INSTANCE_ID": "ours", "WMESH_INCARNATION": "old"})
        record = InstanceRecord("pricing", "pricing-1", Address("::1", 80), incarnation="life-1")
        self.assertEqual(
            environment_of(record),
            {
                "PATH": "/bin",
                "WMESH_SERVICE": "pricing",
                "WMESH_INSTANCE_ID": "pricing-1",
                "WMESH_INCARNATION": "life-1",
                "WMESH_HOST": "::1",
                "WMESH_PORT": "80",
            },
        )
