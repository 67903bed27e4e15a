"""URLs of registries: every form, every mistake, and no password where people look."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.errors import RegistryError
from wmesh.registry_url import Sentinels, Target, check_namespace, parse_target, read_places

THREE = (("s1", 26379), ("s2", 7), ("::1", 26379))

FORMS = {
    "redis://h": Target(host="h"),
    "REDIS://h": Target(host="h"),
    "redis://h:1/": Target(host="h", port=1),
    "redis://h:6380/3": Target(host="h", port=6380, db=3),
    "redis://[::1]:7/0": Target(host="::1", port=7),
    "redis://:pw@h": Target(host="h", password="pw"),
    "redis://me@h": Target(host="h", user="me"),
    "redis://me:p%40%3A%2Fw@h": Target(host="h", user="me", password="p@:/w"),
    "rediss://h/1": Target(host="h", tls=True, db=1),
    "rediss://h?ca=/etc/ca.pem": Target(host="h", tls=True, ca="/etc/ca.pem"),
    "rediss://h/1?cert=a+b.pem&key=%2Fk&ca=c": Target(host="h", tls=True, db=1, ca="c", cert="a+b.pem", key="/k"),
    "unix:/run/v.sock": Target(path="/run/v.sock"),
    "unix:///run/v.sock?db=2": Target(path="/run/v.sock", db=2),
    "unix:/run/v%20w": Target(path="/run/v w"),
    "redis+sentinel://s1,s2:7,[::1]/mesh": Target(sentinels=Sentinels(THREE, "mesh")),
    "redis+sentinel://me:pw@s1:1/mesh-1/2": Target(
        user="me", password="pw", db=2, sentinels=Sentinels((("s1", 1),), "mesh-1")
    ),
    "redis+sentinel://s1:1/m?sentinel_user=u&sentinel_password=a%26b": Target(
        sentinels=Sentinels((("s1", 1),), "m", user="u", password="a&b")
    ),
    "rediss+sentinel://s1:1/m?ca=c": Target(tls=True, ca="c", sentinels=Sentinels((("s1", 1),), "m", tls=True)),
    "rediss+sentinel://s1:1/m?sentinel_tls=no": Target(tls=True, sentinels=Sentinels((("s1", 1),), "m")),
}


class ParseTests(SynchronousTestCase):
    """parse_target."""

    def test_forms(self) -> None:
        """All that the documentation promises."""
        for url, target in FORMS.items():
            self.assertEqual(parse_target(url), target, url)

    def test_together_again(self) -> None:
        """`url` means the same target, with all that is in it."""
        for target in FORMS.values():
            self.assertEqual(parse_target(target.url), target, target.url)
        odd = Target(host="h", user="a b", password="p:/?#@%&+é\udcff", db=1)
        self.assertEqual(parse_target(odd.url), odd)

    def test_mistakes(self) -> None:
        """Each is refused; the password never comes back in the message."""
        for url in (
            "",
            "valkey",
            "http://me:hidden@h",
            "redis://",
            "redis:h",
            "redis://:hidden@",
            "redis://me:hidden@h:port/0",
            "redis://me:hidden@h:99999/0",
            "redis://me:hidden@h:0",
            "redis://me:hidden@h/zero",
            "redis://me:hidden@h/0/1",
            "redis://me:hidden@h/0?ca=x",
            "redis://me:12?hidden@h",
            "redis://me:12?hidden=12@h",
            "redis://me:hidden#@h",
            "redis://me:hid den@h",
            "redis://me:hidden@h,i",
            "rediss://me:hidden@h?hidden=hidden",
            "rediss://me:hidden@h?cert=x",
            "rediss://me:hidden@h?key=x",
            "unix:run/v.sock",
            "unix://host/run/v.sock",
            "unix:/run/v.sock?ca=x",
            "redis://me:hidden@[::1/0",
            "redis://me:hidden@[fish]",
            "redis+sentinel://me:hidden@s1,s2",
            "redis+sentinel://me:hidden@s1,s2/",
            "redis+sentinel://me:hidden@s1,,s2/m",
            "redis+sentinel://me:hidden@s1,s2/a%20b",
            "redis+sentinel://me:hidden@s1:x,s2/m",
            "redis+sentinel://me:hidden@s1,s2/m/zero",
            "redis+sentinel://me:hidden@s1/m?sentinel_tls=no",
            "rediss+sentinel://me:hidden@s1/m?sentinel_tls=maybe",
        ):
            error = self.assertRaises(RegistryError, parse_target, url)
            self.assertNotIn("hidden", str(error))
            self.assertIsNone(error.__cause__)

    def test_passwords_are_kept_to_themselves(self) -> None:
        """Neither repr nor label shows them, and scrub takes them out of what others say."""
        target = parse_target("redis+sentinel://me:hidden@h:1/m/2?sentinel_password=secret")
        self.assertNotIn("hidden", repr(target))
        self.assertNotIn("secret", repr(target))
        self.assertEqual(target.label, "redis+sentinel://me@h:1/m/2")
        self.assertEqual(target.scrub("bad hidden, secret word"), "bad ***, *** word")

    def test_labels(self) -> None:
        """What people see is a URL again."""
        for url in (
            "redis://h:1",
            "redis://[::1]:7/3",
            "rediss://me@h:6379",
            "unix:/run/v",
            "unix:/run/v?db=2",
            "rediss+sentinel://me@h:1,[::1]:2/m/3",
        ):
            self.assertEqual(parse_target(url).label, url)

    def test_on_the_way_to_a_master(self) -> None:
        """A Sentinel gets its own login and no database; the master gets what the URL says for it."""
        target = parse_target("rediss+sentinel://me:hidden@h/m/2?sentinel_user=you&sentinel_tls=no&ca=c")
        self.assertEqual(target.sentinel_at(("s", 1)), Target("s", 1, ca="c", user="you"))
        master = Target("r", 2, tls=True, ca="c", user="me", password="hidden", db=2)
        self.assertEqual(target.master_at(("r", 2)), master)
        self.assertEqual(target.places, (("h", 26379),))

    def test_sentinels_alone(self) -> None:
        """As the environment names them."""
        self.assertEqual(read_places("s1, s2:7,[::1]"), THREE)
        self.assertRaises(RegistryError, read_places, "s1,")

    def test_namespace(self) -> None:
        """A namespace is part of a key inside braces."""
        self.assertEqual(check_namespace("my-mesh_1.0"), "my-mesh_1.0")
        for bad in ("", "a}b", "a b", "-a", "x" * 65, "a\n"):
            self.assertRaises(RegistryError, check_namespace, bad)
