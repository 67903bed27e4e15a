"""Products and carts, with pricing there, gone, and talking nonsense."""

from api_server import MAX_QUANTITY, ApiServer
from mesh_client import MeshError
from store import Documents
from twisted.trial.unittest import SynchronousTestCase

from tests.examples.support import Exchange, TableMesh, get, post

PRICE = "/walmart-pricing/api/price/12345"


def prices(**cents: int) -> dict[str, object]:
    return {"prices": [{"sku": sku[1:], "price_cents": value} for sku, value in cents.items()], "unknown": []}


class ProductTests(SynchronousTestCase):
    def setUp(self):
        self.mesh = TableMesh({PRICE: {"price_cents": 397}})
        self.api = ApiServer(self.mesh, Documents("cart")).api

    def test_price_comes_through_the_mesh(self):
        """A product has the price that pricing says, and the request's name went along."""
        answer = get(self.api, "/api/products/12345", X_Request_Id="r1")
        self.assertEqual((answer.status, answer.json["price"], answer.json["name"]), (200, 3.97, "Whole milk"))
        self.assertEqual(self.mesh.asked, [(PRICE, "r1")])

    def test_without_pricing(self):
        """If pricing cannot be had the product is shown anyway, its price null and the reason given."""
        self.mesh.table[PRICE] = MeshError("no answer within 2 s")
        answer = get(self.api, "/api/products/12345")
        self.assertEqual((answer.status, answer.json["price"]), (200, None))
        self.assertEqual(answer.json["price_error"], "no answer within 2 s")

    def test_nonsense_from_pricing(self):
        """A price that is no price is treated like none at all."""
        for nonsense in ({}, {"price_cents": "4"}, {"price_cents": True}, {"price_cents": -1}):
            self.mesh.table[PRICE] = nonsense
            self.assertIsNone(get(self.api, "/api/products/12345").json["price"])

    def test_shelf(self):
        """All products, those of one category, and a 404 for what is not sold, which nobody asks a price for."""
        self.assertGreater(get(self.api, "/api/products").json["count"], 10)
        dairy = get(self.api, "/api/products?category=dairy").json["products"]
        self.assertEqual({each["category"] for each in dairy}, {"dairy"})
        self.assertEqual(get(self.api, "/api/products/99").json["error"], "unknown_sku")
        self.assertEqual(self.mesh.asked, [])


class CartTests(SynchronousTestCase):
    def setUp(self):
        self.mesh = TableMesh()
        self.carts = Documents("cart", most=3)
        self.api = ApiServer(self.mesh, self.carts).api
        made = Exchange(self.api, "POST", "/api/carts")
        self.assertEqual((made.status, made.json["items"], made.json["total"]), (201, [], 0))
        self.id = made.json["id"]
        self.items = f"/api/carts/{self.id}/items"

    def test_location_is_relative(self):
        """`Location` resolves against the request's own address, so that it survives a stripped prefix."""
        made = Exchange(self.api, "POST", "/api/carts")
        self.assertEqual(made.header("location"), f"carts/{made.json['id']}".lower())

    def test_totals(self):
        """Lines add up, the same product twice is one line, and one question prices the whole cart."""
        post(self.api, self.items, {"sku": "12345", "quantity": 2})
        post(self.api, self.items, {"sku": "12345"})
        self.mesh.table["/walmart-pricing/api/prices?sku=12345,30001"] = prices(_12345=397, _30001=58)
        del self.mesh.asked[:]
        cart = post(self.api, self.items, {"sku": "30001", "quantity": 5}).json
        self.assertEqual([line["quantity"] for line in cart["items"]], [3, 5])
        self.assertEqual([line["line_total"] for line in cart["items"]], [11.91, 2.9])
        self.assertEqual(cart["total"], 14.81)
        self.assertNotIn("price_error", cart)
        self.assertEqual(len(self.mesh.asked), 1)

    def test_total_is_whole_or_null(self):
        """If one line has no price the cart has no total: a part of a sum would mislead."""
        post(self.api, self.items, {"sku": "12345"})
        self.mesh.table["/walmart-pricing/api/prices?sku=12345,30001"] = prices(_12345=397)
        cart = post(self.api, self.items, {"sku": "30001"}).json
        self.assertEqual((cart["items"][0]["price"], cart["items"][1]["price"]), (3.97, None))
        self.assertEqual((cart["total"], "price_error" in cart), (None, True))

    def test_pricing_gone_or_odd(self):
        """A cart is kept and shown whatever pricing does."""
        self.assertEqual(post(self.api, self.items, {"sku": "12345"}).status, 200)
        self.assertIn("503", get(self.api, f"/api/carts/{self.id}").json["price_error"])
        for odd in ({"prices": [1]}, {"prices": None}, {}):
            self.mesh.table["/walmart-pricing/api/prices?sku=12345"] = odd
            cart = get(self.api, f"/api/carts/{self.id}").json
            self.assertEqual((cart["total"], len(cart["items"]), "price_error" in cart), (None, 1, True))

    def test_what_may_not_go_in(self):
        """Each mistake has its own words, and leaves the cart as it was."""
        wrong = [
            ({}, "wrong_type"),
            ({"sku": 12345}, "wrong_type"),
            ({"sku": "1"}, "unknown_sku"),
            ({"sku": "12345", "quantity": 0}, "out_of_range"),
            ({"sku": "12345", "quantity": MAX_QUANTITY + 1}, "out_of_range"),
            ({"sku": "12345", "quantity": 1.5}, "wrong_type"),
            ({"sku": "12345", "quantity": True}, "wrong_type"),
            ({"sku": "12345", "amount": 1}, "unknown_field"),
        ]
        for body, error in wrong:
            answer = post(self.api, self.items, body)
            self.assertEqual((answer.status, answer.json["error"]), (422, error), body)
        self.assertEqual(get(self.api, f"/api/carts/{self.id}").json["items"], [])

    def test_sum_of_quantities_is_bounded(self):
        """The bound holds for what is in the cart, not only for one request."""
        post(self.api, self.items, {"sku": "12345", "quantity": MAX_QUANTITY})
        self.assertEqual(post(self.api, self.items, {"sku": "12345"}).json["error"], "out_of_range")

    def test_taking_out(self):
        """A line can be removed once; then it is not there."""
        post(self.api, self.items, {"sku": "12345"})
        answer = Exchange(self.api, "DELETE", f"{self.items}/12345")
        self.assertEqual((answer.status, answer.json["items"]), (200, []))
        self.assertEqual(Exchange(self.api, "DELETE", f"{self.items}/12345").json["error"], "not_in_cart")

    def test_unknown_cart(self):
        """A cart that is not there, or no longer, is a 404 for every verb."""
        for answer in (
            get(self.api, "/api/carts/no"),
            post(self.api, "/api/carts/no/items", {"sku": "12345"}),
            Exchange(self.api, "DELETE", "/api/carts/no/items/12345"),
        ):
            self.assertEqual((answer.status, answer.json["error"]), (404, "unknown_cart"))

    def test_too_many_carts(self):
        """The store is bounded: a 503 that says when to come back."""
        answers = [Exchange(self.api, "POST", "/api/carts") for _ in range(3)]
        self.assertEqual([answer.status for answer in answers], [201, 201, 503])
        self.assertEqual(answers[2].header("retry-after"), "60")
