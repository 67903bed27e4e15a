"""walmart-api-server: products and carts, the face of the shop.

It knows what is sold, and asks pricing, through the mesh, what it costs. When pricing cannot be had, a product or a
cart is still answered with 200: its price is null and `price_error` says why. A shop that shows its shelves without
prices for a moment is better than one that shows an error page, and this is where a caller decides such a thing; the
mesh can only report.

`Location` is relative (`carts/…`, not `/api/carts/…`), so that it stays right behind whatever prefix a gateway puts
this service.
"""

from __future__ import annotations

from argparse import Namespace
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred

import app
from catalog import PRODUCTS, Product
from mesh_client import Mesh, MeshError
from rest import Call, Problem, Reply
from store import Document, Documents, Full

MAX_QUANTITY = 999
MAX_LINES = 50
CART_SECONDS = 24 * 3600.0


def known_product(sku: object, status: int) -> Product:
    """The product of that name; `status` is what its absence means: 404 in a path, 422 in a body."""
    if not isinstance(sku, str):
        raise Problem(422, "wrong_type", "sku must be a string")
    product = PRODUCTS.get(sku)
    if product is None:
        raise Problem(status, "unknown_sku", f"there is no product {sku!r}")
    return product


def valid_quantity(quantity: object) -> int:
    if isinstance(quantity, bool) or not isinstance(quantity, int):
        raise Problem(422, "wrong_type", "quantity must be a whole number")
    if not 1 <= quantity <= MAX_QUANTITY:
        raise Problem(422, "out_of_range", f"quantity must be from 1 to {MAX_QUANTITY}")
    return quantity


def cents_of(document: dict[str, Any]) -> int:
    """What pricing says, if it makes sense."""
    cents = document.get("price_cents")
    if isinstance(cents, bool) or not isinstance(cents, int) or cents < 0:
        raise MeshError("pricing answered without a price")
    return cents


def dollars(cents: int | None) -> float | None:
    return None if cents is None else cents / 100


def cart_document(cart: str, items: dict[str, int], prices: dict[str, int], error: str | None) -> dict[str, object]:
    """A cart with what it costs. The total is null unless every line has a price: a sum of a part would mislead."""
    lines = []
    for sku, quantity in items.items():
        cents = prices.get(sku)
        lines.append(
            {
                "sku": sku,
                "name": PRODUCTS[sku].name if sku in PRODUCTS else None,
                "quantity": quantity,
                "price": dollars(cents),
                "line_total": None if cents is None else dollars(cents * quantity),
            }
        )
    complete = all(sku in prices for sku in items)
    total = sum(prices[sku] * quantity for sku, quantity in items.items()) if complete else None
    document: dict[str, object] = {"id": cart, "items": lines, "total": dollars(total), "currency": "USD"}
    if not complete:
        document["price_error"] = error or "pricing does not know every product of this cart"
    return document


class ApiServer(app.Program):
    """Products, and carts kept in `carts`."""

    def __init__(self, mesh: Mesh, carts: Documents) -> None:
        super().__init__("walmart-api-server")
        self._mesh = mesh
        self._carts = carts
        route = self.api.route
        route("GET", "/api/products", self.products)
        route("GET", "/api/products/<sku>", self.product)
        route("POST", "/api/carts", self.new_cart)
        route("GET", "/api/carts/<cart>", self.cart)
        route("POST", "/api/carts/<cart>/items", self.add_item)
        route("DELETE", "/api/carts/<cart>/items/<sku>", self.remove_item)
        route("GET", "/api/health", self.health)

    def stop(self) -> Deferred[None]:
        return self.api.drained().addCallback(lambda _: self._carts.close())

    def products(self, call: Call) -> Reply:
        """The shelf, or one `?category=` of it; without prices, which each product shows for itself."""
        categories = call.query("category")
        found = [each for each in PRODUCTS.values() if not categories or each.category in categories]
        return Reply({"products": [each.document() for each in found], "count": len(found)})

    async def product(self, call: Call) -> Reply:
        product = known_product(call.path["sku"], 404)
        try:
            answer = await self._mesh.get(f"/walmart-pricing/api/price/{quote(product.sku)}", call.request_id)
            cents = cents_of(answer.document)
        except MeshError as error:
            return Reply({**product.document(), "price": None, "price_error": error.reason})
        return Reply({**product.document(), "price": dollars(cents), "currency": "USD"})

    def new_cart(self, call: Call) -> Reply:
        if not call.is_empty():
            call.json_object()
        cart = token_urlsafe(12)
        try:
            self._carts.add(cart, {"items": {}})
        except Full as error:
            raise Problem(503, "too_many_carts", str(error), {"Retry-After": "60"}) from error
        return Reply(cart_document(cart, {}, {}, None), 201, {"Location": f"carts/{cart}"})

    async def cart(self, call: Call) -> Reply:
        return await self._priced(call, self._carts.get(call.path["cart"]))

    async def add_item(self, call: Call) -> Reply:
        """Adds to what the cart has of it already."""
        body = call.json_object("sku", "quantity")
        product = known_product(body.get("sku"), 422)
        quantity = valid_quantity(body.get("quantity", 1))

        def put_in(cart: Document) -> None:
            items: dict[str, int] = cart["items"]
            if product.sku not in items and len(items) >= MAX_LINES:
                raise Problem(422, "cart_full", f"a cart holds at most {MAX_LINES} different products")
            items[product.sku] = valid_quantity(items.get(product.sku, 0) + quantity)

        return await self._priced(call, self._carts.change(call.path["cart"], put_in))

    async def remove_item(self, call: Call) -> Reply:
        sku = call.path["sku"]

        def take_out(cart: Document) -> None:
            if cart["items"].pop(sku, None) is None:
                raise Problem(404, "not_in_cart", f"the cart has no {sku!r}")

        return await self._priced(call, self._carts.change(call.path["cart"], take_out))

    async def _priced(self, call: Call, cart: Document | None) -> Reply:
        name = call.path["cart"]
        if cart is None:
            raise Problem(404, "unknown_cart", f"there is no cart {name!r}; it may have expired")
        items: dict[str, int] = cart["items"]
        prices: dict[str, int] = {}
        reason = None
        if items:
            skus = ",".join(quote(sku) for sku in items)
            try:
                answer = await self._mesh.get(f"/walmart-pricing/api/prices?sku={skus}", call.request_id)
                prices = {each["sku"]: cents_of(each) for each in answer.document["prices"]}
            except MeshError as error:
                reason = error.reason
            except (KeyError, TypeError):
                reason = "pricing answered something else than prices"
        return Reply(cart_document(name, items, prices, reason))


def build(options: Namespace, reactor: Any) -> ApiServer:
    mesh = Mesh(options.gateway, "walmart-api-server", reactor)
    return ApiServer(mesh, Documents("cart", options.state, CART_SECONDS))


if __name__ == "__main__":
    parser = app.arguments("walmart-api-server", 3000, __doc__)
    app.add_state(parser, "carts")
    app.run(parser, build)
