"""`Router.match` with few and many routes, by prefix and by host."""

from __future__ import annotations

from collections.abc import Iterator

from bench.micro.timing import Timing
from wmesh.policy.routing import Router


def timings() -> Iterator[Timing]:
    for count in (1, 6, 1000):
        by_prefix = Router([("", f"/service-{number}/", number) for number in range(count)])
        target = b"/service-%d/api/price/12345?store=2280" % (count - 1)
        yield Timing(f"prefix, {count} routes", "match(b'', target)", {"match": by_prefix.match, "target": target})
        by_host = Router([(f"s{number}.example", "/", number) for number in range(count)])
        names = {"match": by_host.match, "host": b"s%d.example" % (count - 1)}
        yield Timing(f"host, {count} routes", "match(host, b'/api/price/12345')", names)
    yield Timing("no route, 1000 routes", "match(b'', b'/nowhere/at/all')", {"match": by_prefix.match})
