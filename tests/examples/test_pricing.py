"""Prices: pure in product and time, cacheable exactly as long as they stand."""

from email.utils import formatdate

from catalog import PRODUCTS
from pricing import DRIFT, PERIOD, Pricing, quote
from twisted.trial.unittest import SynchronousTestCase

from tests.examples.support import Exchange, get

NOW = 1_790_000_000.0
MILK = PRODUCTS["12345"]


class QuoteTests(SynchronousTestCase):
    def test_stands_for_its_period(self):
        """A price is the same from its beginning to just before its end, and the next period follows at once."""
        first = quote(MILK, NOW)
        self.assertEqual(first, quote(MILK, first.since))
        self.assertEqual(first, quote(MILK, first.until - 0.001))
        self.assertEqual(quote(MILK, first.until).since, first.until)
        self.assertTrue(first.since <= NOW < first.until)

    def test_drifts_within_bounds(self):
        """Over a day every price moves, in small steps, and never further from its base than the drift allows."""
        for product in PRODUCTS.values():
            day = [quote(product, NOW + n * PERIOD).cents for n in range(2880)]
            self.assertGreater(len(set(day)), 3, product)
            self.assertLessEqual(max(abs(cents - product.base_cents) for cents in day), product.base_cents * DRIFT + 1)

    def test_not_all_at_once(self):
        """Products change at different moments, so that a feed has something to tell every few seconds."""
        self.assertGreater(len({quote(product, NOW).since for product in PRODUCTS.values()}), 5)


class ResourceTests(SynchronousTestCase):
    def setUp(self):
        self.now = quote(MILK, NOW).since + 10.5
        self.api = Pricing(lambda: self.now).api

    def test_price(self):
        """A price comes with a strong ETag, a date, and a max-age that ends before the price does."""
        answer = get(self.api, "/api/price/12345")
        self.assertEqual((answer.status, answer.json["sku"], answer.json["currency"]), (200, "12345", "USD"))
        self.assertEqual(answer.json["price_cents"], round(answer.json["price"] * 100))
        self.assertEqual(answer.header("cache-control"), "public, max-age=19")
        self.assertRegex(answer.header("etag"), r'^"[0-9a-f]{20}"$')
        self.assertEqual(answer.header("last-modified"), formatdate(self.now - 10.5, usegmt=True).lower())

    def test_all_instances_agree(self):
        """Another instance answers the same bytes, or the ETag of one would be worthless at the other."""
        other = Pricing(lambda: self.now).api
        other.instance = "another"
        one, two = get(self.api, "/api/price/12345"), get(other, "/api/price/12345")
        self.assertEqual((one.body, one.header("etag")), (two.body, two.header("etag")))
        self.assertEqual(two.header("x-served-by"), "another")

    def test_not_modified(self):
        """A matching tag, weak or in a list or `*`, is answered with a 304 that has the fields and no body."""
        etag = get(self.api, "/api/price/12345").header("etag")
        for tags in (etag, f'"x", W/{etag}', "*"):
            answer = get(self.api, "/api/price/12345", If_None_Match=tags)
            self.assertEqual((answer.status, answer.body, answer.header("etag")), (304, b"", etag), tags)
            self.assertIsNone(answer.header("content-length"))
        self.assertEqual(get(self.api, "/api/price/12345", If_None_Match='"old"').status, 200)

    def test_not_modified_since(self):
        """The date counts only when there is no tag, and nonsense in it is ignored."""
        date = formatdate(self.now, usegmt=True)
        self.assertEqual(get(self.api, "/api/price/12345", If_Modified_Since=date).status, 304)
        self.assertEqual(get(self.api, "/api/price/12345", If_Modified_Since=date, If_None_Match='"old"').status, 200)
        self.assertEqual(
            get(self.api, "/api/price/12345", If_Modified_Since=formatdate(self.now - 60, usegmt=True)).status, 200
        )
        self.assertEqual(get(self.api, "/api/price/12345", If_Modified_Since="yesterday").status, 200)

    def test_tag_changes_with_the_period(self):
        """After the period the old tag is no longer good."""
        etag = get(self.api, "/api/price/12345").header("etag")
        self.now += PERIOD
        self.assertEqual(get(self.api, "/api/price/12345", If_None_Match=etag).status, 200)

    def test_head(self):
        """HEAD has the fields of GET and no body."""
        whole, head = get(self.api, "/api/price/12345"), Exchange(self.api, "HEAD", "/api/price/12345")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.header("content-length"), str(len(whole.body)))
        self.assertEqual(head.header("etag"), whole.header("etag"))

    def test_unknown(self):
        """An unknown product is a JSON 404 that no cache keeps."""
        answer = get(self.api, "/api/price/99999")
        self.assertEqual((answer.status, answer.json["error"]), (404, "unknown_sku"))
        self.assertEqual(answer.header("cache-control"), "no-store")

    def test_several(self):
        """Several prices in the order asked for, repeated ones once, unknown ones named; too many are refused."""
        answer = get(self.api, "/api/prices?sku=30001,12345,nope&sku=30001")
        self.assertEqual([each["sku"] for each in answer.json["prices"]], ["30001", "12345"])
        self.assertEqual(answer.json["unknown"], ["nope"])
        self.assertEqual(len(get(self.api, "/api/prices").json["prices"]), len(PRODUCTS))
        self.assertEqual(get(self.api, "/api/prices?sku=" + ",".join(map(str, range(101)))).status, 422)

    def test_several_expire_with_the_first(self):
        """The answer for several may be kept only until the first of them changes."""
        skus = list(PRODUCTS)
        left = min(quote(PRODUCTS[sku], self.now).until for sku in skus) - self.now
        answer = get(self.api, "/api/prices")
        self.assertEqual(answer.header("cache-control"), f"public, max-age={int(left)}")
