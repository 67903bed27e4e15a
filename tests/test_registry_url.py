"""URLs of registries: every form, every mistake, and no password where people look."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.errors import RegistryError
from wmesh.registry_url import Target, check_namespace, parse_target


class ParseTests(SynchronousTestCase):
    """parse_target."""

    def test_forms(self) -> None:
        """All that the documentation promises."""
        for url, target in {
            "redis://h": Target(host="h"),
            "redis://h:1/": Target(host="h", port=1),
            "redis://h:6380/3": Target(host="h", port=6380, db=3),
            "redis://[::1]:7/0": Target(host="::1", port=7),
            "redis://:pw@h": Target(host="h", password="pw"),
            "redis://me:p%40%3A%2Fw@h": Target(host="h", user="me", password="p@:/w"),
            "rediss://h/1": Target(host="h", tls=True, db=1),
            "rediss://h?ca=/etc/ca.pem": Target(host="h", tls=True, ca="/etc/ca.pem"),
            "unix:/run/v.sock": Target(path="/run/v.sock"),
            "unix:///run/v.sock?db=2": Target(path="/run/v.sock", db=2),
        }.items():
            self.assertEqual(parse_target(url), target, url)

    def test_mistakes(self) -> None:
        """Each is refused; the password never comes back in the message."""
        for url in (
            "",
            "valkey",
            "http://me:hidden@h",
            "redis://",
            "redis://:hidden@",
            "redis://me:hidden@h:port/0",
            "redis://me:hidden@h:99999/0",
            "redis://me:hidden@h/zero",
            "redis://me:hidden@h/0?ca=x",
            "rediss://me:hidden@h?key=hidden",
            "unix:run/v.sock",
            "redis://me:hidden@[::1/0",
        ):
            error = self.assertRaises(RegistryError, parse_target, url)
            self.assertNotIn("hidden", str(error))
            self.assertIsNone(error.__cause__)

    def test_password_is_kept_to_itself(self) -> None:
        """Neither repr nor label shows it, and scrub takes it out of what others say."""
        target = parse_target("redis://me:hidden@h:1/2")
        self.assertNotIn("hidden", repr(target))
        self.assertEqual(target.label, "redis://me@h:1/2")
        self.assertEqual(target.scrub("bad hidden word"), "bad *** word")

    def test_labels(self) -> None:
        """What people see is a URL again."""
        for url in ("redis://h:1", "redis://[::1]:7/3", "rediss://me@h:6379", "unix:/run/v", "unix:/run/v?db=2"):
            self.assertEqual(parse_target(url).label, url)

    def test_namespace(self) -> None:
        """A namespace is part of a key inside braces."""
        self.assertEqual(check_namespace("my-mesh_1.0"), "my-mesh_1.0")
        for bad in ("", "a}b", "a b", "-a", "x" * 65, "a\n"):
            self.assertRaises(RegistryError, check_namespace, bad)
