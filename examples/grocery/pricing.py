"""walmart-pricing: what a product costs right now.

A price is a pure function of the product and the time, so that any number of instances agree without talking to each
other, byte for byte: then the strong ETag of one instance is valid at all of them, and a cache in front of them works.
(That is also why the answer does not name its instance in the body; `X-Served-By` does.)

Time is cut into periods of 30 seconds, shifted for each product, so that prices do not all change at once. Within a
period a price stands, and `max-age` is what is left of the period: no cache ever shows a price that has changed.
Between periods the price wanders along a line between pseudo-random anchors, at most `DRIFT` from its base.
"""

from __future__ import annotations

import hashlib
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

import app
from catalog import PRODUCTS, Product
from rest import Call, Problem, Reply

PERIOD = 30.0
ANCHOR_PERIODS = 8
DRIFT = 0.08
MAX_SKUS = 100


def _fraction(text: str) -> float:
    """A number in [0, 1) that anybody computes alike from the text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


@dataclass(frozen=True, slots=True)
class Quote:
    """A price from `since` (Unix seconds) until `until`."""

    product: Product
    cents: int
    since: float
    until: float

    def document(self) -> dict[str, object]:
        return {
            "sku": self.product.sku,
            "name": self.product.name,
            "unit": self.product.unit,
            "price": self.cents / 100,
            "price_cents": self.cents,
            "currency": "USD",
            "since": _iso(self.since),
        }


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def quote(product: Product, now: float) -> Quote:
    """The price of the product at a moment in Unix seconds."""
    shift = int(_fraction(product.sku) * PERIOD)
    period = int((now - shift) // PERIOD)
    anchor, step = divmod(period, ANCHOR_PERIODS)
    left, right = (_fraction(f"{product.sku}:{index}") for index in (anchor, anchor + 1))
    wander = left + (right - left) * step / ANCHOR_PERIODS
    cents = max(1, round(product.base_cents * (1.0 + DRIFT * (2.0 * wander - 1.0))))
    since = period * PERIOD + shift
    return Quote(product, cents, since, since + PERIOD)


def unchanged(call: Call, etag: str, modified: float) -> bool:
    """Whether the client's copy is still good: RFC 9110 section 13.2.2, where If-None-Match silences the date."""
    tags = call.header("if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix("W/") for tag in tags.split(",")}
        return etag in known or "*" in known
    since = call.header("if-modified-since")
    if since is None:
        return False
    try:
        return modified <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


class Pricing(app.Program):
    """`now` is wall time: prices follow the calendar of all instances, not the age of this one."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__("walmart-pricing")
        self._now = now
        self.api.route("GET", "/api/price/<sku>", self.price)
        self.api.route("GET", "/api/prices", self.prices)
        self.api.route("GET", "/api/health", self.health)

    def price(self, call: Call) -> Reply:
        sku = call.path["sku"]
        product = PRODUCTS.get(sku)
        if product is None:
            raise Problem(404, "unknown_sku", f"there is no product {sku!r}")
        now = self._now()
        current = quote(product, now)
        return self._cacheable(call, current.document(), current.since, current.until, now)

    def prices(self, call: Call) -> Reply:
        """Several at once: `?sku=12345,30001`; all of them without the parameter."""
        skus = list(dict.fromkeys(sku for value in call.query("sku") for sku in value.split(",") if sku))
        if len(skus) > MAX_SKUS:
            raise Problem(422, "too_many", f"ask for at most {MAX_SKUS} prices at once")
        if not skus and not call.query("sku"):
            skus = list(PRODUCTS)
        now = self._now()
        quotes = [quote(PRODUCTS[sku], now) for sku in skus if sku in PRODUCTS]
        document = {
            "prices": [each.document() for each in quotes],
            "unknown": [sku for sku in skus if sku not in PRODUCTS],
        }
        if not quotes:
            return Reply(document)
        return self._cacheable(
            call, document, max(each.since for each in quotes), min(each.until for each in quotes), now
        )

    def _cacheable(self, call: Call, document: dict[str, object], since: float, until: float, now: float) -> Reply:
        reply = Reply(document)
        etag = f'"{hashlib.sha256(reply.body()).hexdigest()[:20]}"'
        headers = {
            "Cache-Control": f"public, max-age={int(until - now)}",
            "ETag": etag,
            "Last-Modified": formatdate(since, usegmt=True),
        }
        if unchanged(call, etag, since):
            return Reply(None, 304, headers)
        return Reply(document, headers=headers)


def build(options: Namespace, reactor: object) -> Pricing:
    return Pricing()


if __name__ == "__main__":
    app.run(app.arguments("walmart-pricing", 3007, __doc__), build)
