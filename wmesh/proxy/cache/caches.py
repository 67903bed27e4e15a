"""The caches of all services, over one store: what an operator sees of them, and may throw away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wmesh.errors import ControlError
from wmesh.model import ServiceSpec
from wmesh.policy.caching.second_level import ALL, Invalidation, SecondLevel
from wmesh.policy.caching.status import cache_name
from wmesh.policy.caching.store import MemoryStore
from wmesh.proxy.cache.cache import Cache


class Caches:
    """`by_service` has those of the services that want one, for all of their requests or for those of some routes.

    `size` is bytes, `name` what the gateway calls itself. `second` is the level that other gateways share, if any: this
    is the `FirstLevel` that it tells what they say.
    """

    def __init__(
        self, services: Iterable[ServiceSpec], size: int, name: str, second: SecondLevel | None = None
    ) -> None:
        self.second = second
        self.store = MemoryStore(size)
        shown = cache_name(name)
        self.by_service = {spec.name: Cache(spec.name, self.store, shown, second) for spec in services if _wanted(spec)}

    def describe(self) -> dict[str, Any]:
        """Plain JSON values."""
        store = self.store
        return {
            "size_bytes": store.size,
            "limit_bytes": store.budget,
            "objects": store.count,
            "evicted": store.evicted,
            "second_level": None if self.second is None else dict(self.second.describe()),
            "services": {name: cache.describe() for name, cache in self.by_service.items()},
        }

    def invalidated(self, what: Invalidation) -> None:
        """Another gateway says so."""
        cache = self.by_service.get(what.service.decode("ascii", "replace"))
        if cache is not None:
            cache.forget(what)

    def lost_touch(self) -> None:
        """What others said was missed: nothing that is kept can be relied on."""
        for cache in self.by_service.values():
            cache.forget(Invalidation(cache.service, ALL))

    def purge(self, service: str, *, url: str, prefix: str, tag: str) -> int:
        """See `wmesh.interfaces.Controls.purge`."""
        cache = self.by_service.get(service)
        if cache is None:
            raise ControlError(f"{service} has no cache; it would with proxy_caching_enabled = yes", 409)
        return cache.purge(url=_bytes("url", url), prefix=_bytes("prefix", prefix), tag=_bytes("tag", tag))


def _wanted(spec: ServiceSpec) -> bool:
    return spec.cache.enabled or any(spec.on(route).cache.enabled for route in spec.routes)


def _bytes(what: str, text: str) -> bytes:
    if any(not "!" <= letter <= "~" for letter in text):
        raise ControlError(f'"{what}" has letters that stand in no URL and no tag; write them as %XX', 422)
    if what == "tag" or not text or text.startswith("/"):
        return text.encode("ascii")
    scheme, colon, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    if not colon or scheme.lower() not in ("http", "https") or not host:
        raise ControlError(f'"{what}" must be like /shop/list or http://shop.example/shop/list, not {text[:80]}', 422)
    return f"{scheme.lower()}://{host.lower()}{slash}{path}".encode("ascii")
