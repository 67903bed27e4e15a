"""Tests of wmesh.policy.routing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.policy.routing import Router, normal_prefix


def router(*routes: str) -> Router[str]:
    """Routes as the configuration writes them, `[host]/prefix`; each is its own value."""
    return Router((route.partition("/")[0], "/" + route.partition("/")[2], route) for route in routes)


class PrefixTests(SynchronousTestCase):
    def test_the_same_prefix_has_one_form(self) -> None:
        """A slash at the end of a route in the configuration means nothing."""
        for prefix, expected in (("/", ""), ("", ""), ("/a", "/a"), ("/a/", "/a"), ("/a//", "/a"), ("/a/b/", "/a/b")):
            self.assertEqual(normal_prefix(prefix), expected)


class RouterTests(SynchronousTestCase):
    def assert_routes(self, found_by: Router[str], table: dict[bytes, str | None], host: bytes = b"any") -> None:
        for target, expected in table.items():
            self.assertEqual(found_by.match(host, target), expected, target)

    def test_whole_segments(self) -> None:
        """A route takes its prefix and what is below it, never a longer word that begins alike."""
        self.assert_routes(
            router("/shop/"),
            {
                b"/shop": "/shop/",
                b"/shop/": "/shop/",
                b"/shop/cart": "/shop/",
                b"/shop//cart": "/shop/",
                b"/shop?x=/y": "/shop/",
                b"/shop/?x": "/shop/",
                b"/shopping": None,
                b"/shop2/": None,
                b"/shop;x=1": None,
                b"/shop%2Fcart": None,
                b"/shop%2fcart/x": None,
                b"/%73hop": None,
                b"/Shop": None,
                b"/sho": None,
                b"/": None,
                b"//shop": None,
                b"//shop/cart": None,
                b"/a/shop": None,
                b"/?/shop": None,
                b"/a?/shop/": None,
                b"*": None,
                b"": None,
            },
        )

    def test_the_longest_prefix_wins(self) -> None:
        """However the routes are ordered in the file."""
        routes = ("/", "/a", "/a/b", "/a/b/c", "/b/c")
        for order in (routes, routes[::-1], routes[2:] + routes[:2]):
            self.assert_routes(
                router(*order),
                {
                    b"/": "/",
                    b"/x": "/",
                    b"/a": "/a",
                    b"/a/": "/a",
                    b"/a/bb": "/a",
                    b"/a/b": "/a/b",
                    b"/a/b/": "/a/b",
                    b"/a/b/cc": "/a/b",
                    b"/a/b/c?d": "/a/b/c",
                    b"/a/b/c/d": "/a/b/c",
                    b"/a//b": "/a",
                    b"/b": "/",
                    b"/b/c/d": "/b/c",
                },
            )

    def test_the_root_takes_all(self) -> None:
        """A route of just a slash is the answer to what no other route takes."""
        self.assert_routes(router("/", "/a"), {b"/": "/", b"//": "/", b"/aa": "/", b"/a": "/a", b"/?a": "/"})

    def test_hosts_go_first(self) -> None:
        """A route for this host wins over one for any host, even with a shorter prefix; other hosts are not met."""
        routes = router("shop.example/", "/a/b", "/", "other.example/a")
        for host, target, expected in (
            (b"shop.example", b"/a/b/c", "shop.example/"),
            (b"shop.example", b"/", "shop.example/"),
            (b"other.example", b"/a/b", "other.example/a"),
            (b"other.example", b"/x", "/"),
            (b"other.example", b"/b", "/"),
            (b"third.example", b"/a/b", "/a/b"),
            (b"www.shop.example", b"/", "/"),
            (b"example", b"/", "/"),
            (b"", b"/a/b", "/a/b"),
        ):
            self.assertEqual(routes.match(host, target), expected, (host, target))

    def test_a_host_without_a_route_for_the_path(self) -> None:
        """Routes for any host are then asked, and there may be none."""
        self.assertIsNone(router("shop.example/a").match(b"shop.example", b"/b"))
        self.assertIsNone(router("shop.example/a").match(b"other", b"/a"))
        self.assertEqual(router("shop.example/a", "/b").match(b"shop.example", b"/b"), "/b")

    def test_no_routes(self) -> None:
        """An empty configuration routes nothing."""
        self.assertIsNone(router().match(b"a", b"/"))

    def test_false_values(self) -> None:
        """What a route answers is never looked at: also 0 and "" are found."""
        self.assertEqual(Router([("", "/", 0)]).match(b"a", b"/x"), 0)
        self.assertEqual(Router([("h", "/a", ""), ("", "/", "any")]).match(b"h", b"/a/b"), "")
