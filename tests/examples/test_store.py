"""Documents that live for a while, in memory or shared in a file."""

from store import Documents, Full
from twisted.trial.unittest import SynchronousTestCase


class DocumentsTests(SynchronousTestCase):
    def setUp(self):
        self.now = 1000.0
        self.path = self.mktemp()

    def open(self, kind="cart", **options):
        made = Documents(kind, self.path, now=lambda: self.now, **options)
        self.addCleanup(made.close)
        return made

    def test_shared_file(self):
        """Two instances with one file see each other's writes; another kind does not."""
        one, two, other = self.open(), self.open(), self.open("result")
        one.add("a", {"n": 1})
        two.change("a", lambda document: document.update(n=document["n"] + 1))
        self.assertEqual((one.get("a"), other.get("a")), ({"n": 2}, None))

    def test_memory_is_private(self):
        """Without a file nothing is shared."""
        one, two = Documents("cart"), Documents("cart")
        one.add("a", {})
        self.assertIsNone(two.get("a"))

    def test_change_that_raises(self):
        """A change that fails leaves the document, and the store usable."""
        carts = self.open()
        carts.add("a", {"n": 1})

        def spoil(document):
            document["n"] = 2
            raise ValueError

        with self.assertRaises(ValueError):
            carts.change("a", spoil)
        self.assertEqual(carts.change("a", lambda document: None), {"n": 1})
        self.assertIsNone(carts.change("b", spoil))

    def test_expiry(self):
        """A document lives from its last write; a change renews it, a read does not."""
        carts = self.open(lifetime=10)
        carts.add("a", {})
        carts.add("b", {})
        self.now += 8
        carts.change("a", lambda document: None)
        carts.get("b")
        self.now += 8
        self.assertEqual((carts.get("a"), carts.get("b")), ({}, None))

    def test_full(self):
        """A full store refuses, and takes again once something has expired."""
        carts = self.open(lifetime=10, most=2)
        carts.add("a", {})
        carts.add("b", {})
        self.assertRaises(Full, carts.add, "c", {})
        self.now += 11
        carts.add("c", {})
        self.assertEqual(carts.get("c"), {})
