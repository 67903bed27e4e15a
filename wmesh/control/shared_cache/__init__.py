"""The second level of the cache, in a Redis that several gateways share (`[gateway] cache_redis_url`).

`share` puts answers there and looks for them; `news` hears what the other gateways invalidate, and tells them;
`scripts` are the steps that the server takes at once. The first level is the memory of each gateway
(`wmesh.proxy.cache`), which knows nothing of all this but `wmesh.policy.caching.second_level`. Imports are late on
purpose: a gateway without a second level loads nothing of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wmesh.model import MeshConfig

if TYPE_CHECKING:
    from wmesh.control.shared_cache.share import Share


def share_for(config: MeshConfig, reactor: Any, now: Callable[[], float], rng: random.Random) -> Share | None:
    """The second level that `[gateway] cache_redis_url` asks for, not started yet; None if it asks for none."""
    url = config.gateway.cache_redis_url
    if not url:
        return None
    from wmesh.control.shared_cache.share import Share
    from wmesh.registry_url import parse_target

    return Share(parse_target(url), config.registry.namespace, reactor, now=now, rng=rng)
