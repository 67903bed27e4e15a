"""How a program learns who it is in the mesh: variables of its environment.

Both who launches instances and `wmesh register` give them, so that a program can say in its health check who answers
(`Wmesh-Instance: ID/INCARNATION`, see `wmesh.control.probes.identity`) without knowing how it was started.
"""

from __future__ import annotations

import os

from wmesh.control.launchers.notes import ID_VARIABLE
from wmesh.model import InstanceRecord


def environment_of(record: InstanceRecord) -> dict[str, str]:
    """Our environment, and in it the identity of the instance that is started with it."""
    return {
        **os.environ,
        "WMESH_SERVICE": record.service,
        ID_VARIABLE: record.id,
        "WMESH_INCARNATION": record.incarnation,
        "WMESH_HOST": record.address.host,
        "WMESH_PORT": str(record.address.port),
    }
