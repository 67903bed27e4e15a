"""Tests of wmesh.policy.caching.store."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import KEY, asks, date, stored
from wmesh.policy.caching.entry import Entry
from wmesh.policy.caching.store import VARIANTS, MemoryStore

FRESH = "Cache-Control: max-age=60"


def one(name: str, *fields: str, size: int = 100, request: tuple[str, ...] = ()) -> Entry:
    return stored(FRESH, *fields, key=b"shop http://h/" + name.encode(), body=b"x" * size, request=request)


class FindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore(10**6)

    def add(self, *fields: str, request: tuple[str, ...] = ()) -> Entry:
        entry = stored(FRESH, *fields, request=request)
        self.store.add(entry)
        return entry

    def find(self, *fields: str) -> Entry | None:
        return self.store.find(KEY, asks(*fields))[0]

    def test_nothing(self) -> None:
        """An empty store knows no key."""
        self.assertEqual(self.store.find(KEY, asks()), (None, None))

    def test_variants(self) -> None:
        """Each request gets the answer to such a request; whoever is new is told that there are others."""
        one = self.add("Vary: Foo", request=("Foo: 1",))
        two = self.add("Vary: foo", request=("Foo: 2",))
        self.assertIs(self.find("Foo: 1"), one)
        self.assertIs(self.find("FOO:2"), two)
        self.assertEqual(self.store.find(KEY, asks("Foo: 3")), (None, (b"foo",)))

    def test_replacement(self) -> None:
        """A new answer takes the place of the one for the same requests."""
        self.add()
        new = self.add("X: 1")
        self.assertIs(self.find(), new)
        self.assertEqual((self.store.count, self.store.size), (1, new.size))

    def test_another_vary(self) -> None:
        """Answers of one URI may depend on different things: the newest that suits is used."""
        old = self.add(f"Date: {date(-50)}")
        new = self.add("Vary: Foo", request=("Foo: 1",))
        self.assertIs(self.find("Foo: 1"), new)
        self.assertIs(self.find("Foo: 2"), old)

    def test_language(self) -> None:
        """Who prefers one language to all others gets it, whatever else he would take."""
        german = self.add("Vary: Accept-Language, Foo", "Content-Language: de", request=("Accept-Language: en, de",))
        self.assertIs(self.find("Accept-Language: fr;q=0.5, de"), german)
        self.assertIsNone(self.find("Accept-Language: fr;q=0.5, de", "Foo: 1"))
        self.assertIsNone(self.find("Accept-Language: fr, de"))

    def test_ten_thousand_variants(self) -> None:
        """A client that makes up variants pushes out its own."""
        other = stored(FRESH, key=b"shop http://h/other")
        self.store.add(other)
        for number in range(10_000):
            self.add("Vary: Foo", request=(f"Foo: {number}",))
        self.assertEqual(self.store.count, VARIANTS + 1)
        self.assertIsNotNone(self.find("Foo: 9999"))
        self.assertIsNone(self.find("Foo: 1"))
        self.assertIs(self.store.find(other.key, asks())[0], other)


class RoomTests(SynchronousTestCase):
    def test_budget(self) -> None:
        """It is kept, whatever comes, and nothing is counted twice."""
        store = MemoryStore(50_000)
        for number in range(500):
            store.add(one(str(number % 120), size=number * 7 % 5000))
            store.find(b"shop http://h/%d" % (number // 3), asks())
            self.assertLessEqual(store.size, store.budget)
        self.assertGreater(store.evicted, 0)
        store.purge(b"shop")
        self.assertEqual((store.size, store.count), (0, 0))

    def test_larger_than_all(self) -> None:
        """What cannot fit does not stay."""
        store = MemoryStore(5000)
        store.add(one("a", size=6000))
        self.assertEqual(store.count, 0)

    def test_a_scan(self) -> None:
        """What is asked for again survives a crawler that asks for everything once."""
        store = MemoryStore(100_000)
        popular = [one(f"popular{number}") for number in range(20)]
        for entry in popular:
            store.add(entry)
            for _ in range(3):
                store.find(entry.key, asks())
        for number in range(5000):
            store.add(one(str(number)))
            if number % 50 == 0:
                for entry in popular:
                    store.find(entry.key, asks())
        self.assertEqual([store.find(entry.key, asks())[0] for entry in popular], popular)

    def test_a_new_version_keeps_its_place(self) -> None:
        """What was popular is not treated as a newcomer because it changed."""
        store = MemoryStore(20_000)
        store.add(one("a"))
        for _ in range(3):
            store.find(b"shop http://h/a", asks())
        for number in range(100):
            store.add(one(f"x{number}"))
        store.add(one("a", "X: 2"))
        for number in range(12):
            store.add(one(f"y{number}"))
        self.assertIsNotNone(store.find(b"shop http://h/a", asks())[0])


class PurgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = MemoryStore(10**6)
        for name, tags in (("a", "red big"), ("a?b", "red"), ("c", "big")):
            self.store.add(one(name, f"Surrogate-Key: {tags}"))
        self.store.add(stored(FRESH, "Surrogate-Key: red", key=b"other http://h/a"))

    def left(self) -> int:
        return self.store.count

    def test_url(self) -> None:
        self.assertEqual(self.store.purge(b"shop", url=b"/a"), 1)
        self.assertEqual(self.left(), 3)

    def test_prefix(self) -> None:
        self.assertEqual(self.store.purge(b"shop", prefix=b"http://h/a"), 2)
        self.assertEqual(self.left(), 2)

    def test_tag(self) -> None:
        self.assertEqual(self.store.purge(b"shop", tag=b"red"), 2)
        self.assertEqual((self.store.purge(b"shop", tag=b"red"), self.store.purge(b"shop", tag=b"big")), (0, 1))

    def test_all(self) -> None:
        """Of this service; what others have is theirs."""
        self.assertEqual(self.store.purge(b"shop"), 3)
        self.assertEqual(self.left(), 1)
