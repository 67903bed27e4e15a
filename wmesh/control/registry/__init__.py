"""The registry: which instances exist, shared by all who need to know, held by leases that end.

`registry_for` makes the registry that `[registry] url` asks for. The ways to keep one are neighbours behind one
interface (`wmesh.interfaces.Registry`): `memory` (this process), `redis` (a server), `embedded` (a server that is our
child). `codec` says what a record looks like in a store, `will_codec` what an operator's will does, `changes` what
becomes an event. Imports are late on purpose: a mesh of `memory:` loads neither txredisapi nor hiredis.
"""

from __future__ import annotations

import random
import time
from typing import Any

from wmesh.interfaces import Registry
from wmesh.model import MeshSpec, RegistrySpec


def registry_for(spec: RegistrySpec, mesh: MeshSpec, reactor: Any, rng: random.Random | None = None) -> Registry:
    """The registry for `spec.url`, not started yet. Fails with RegistryError if the URL makes no sense.

    A server of our own (`embedded:`) must be there at the start. One of somebody else's need not: the gateway starts
    without it, says so, and goes on trying.
    """
    if spec.url == "memory:":
        from wmesh.control.registry.memory import MemoryRegistry

        return MemoryRegistry(reactor, lease=spec.lease, namespace=spec.namespace, now=time.monotonic)
    if spec.url == "embedded:":
        from wmesh.control.registry.embedded import EmbeddedRegistry

        return EmbeddedRegistry(spec, mesh.state_dir, reactor, rng=rng)
    from wmesh.control.registry.redis import RedisRegistry
    from wmesh.registry_url import parse_target

    return RedisRegistry(parse_target(spec.url), spec, reactor, patient=True, rng=rng)
