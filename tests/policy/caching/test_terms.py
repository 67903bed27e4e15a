"""Tests of wmesh.policy.caching.terms."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from tests.policy.caching.scene import SPEC, date, terms

MAX_AGE = "Cache-Control: max-age=60"


class StoringTests(SynchronousTestCase):
    """RFC 9111 section 3."""

    def test_what_is_kept(self) -> None:
        """What says for how long it is fresh, with any final status; and what can be validated."""
        for status in (200, 203, 204, 299, 301, 302, 404, 410, 500, 503, 599):
            self.assertEqual(terms(MAX_AGE, status=status).why, "", status)
        self.assertEqual(terms('ETag: "a"').why, "")
        self.assertEqual(terms("Cache-Control: no-cache", 'ETag: "a"').why, "")
        self.assertEqual(terms(f"Expires: {date(60)}").why, "")

    def test_what_is_not(self) -> None:
        """Each with its reason."""
        for why, *fields in (
            ("no-store", "Cache-Control: no-store, max-age=60"),
            ("private", "Cache-Control: private, max-age=60"),
            ("no-freshness", "Cache-Control: max-age=0"),
            ("no-freshness", "X: y"),
            ("no-freshness", "Cache-Control: no-cache, max-age=60"),
            ("vary", MAX_AGE, "Vary: *"),
            ("set-cookie", 'ETag: "a"', "Set-Cookie: a=b"),
        ):
            self.assertEqual(terms(*fields).why, why, fields)
        self.assertEqual(terms(MAX_AGE, status=206).why, "status")
        self.assertEqual(terms(MAX_AGE, status=304).why, "status")
        self.assertEqual(terms('ETag: "a"', status=500).why, "no-freshness")
        self.assertEqual(terms(MAX_AGE, request=("Cache-Control: no-store",)).why, "request")

    def test_must_understand(self) -> None:
        """It says that no-store does not count for who knows the status, and does for who does not."""
        fields = "Cache-Control: max-age=60, no-store, must-understand"
        self.assertEqual(terms(fields).why, "")
        self.assertEqual(terms(fields, status=599).why, "not-understood")

    def test_authorization(self) -> None:
        """An answer to somebody who has shown who he is must say that it is for others, too."""
        somebody = ("Authorization: Basic x",)
        self.assertEqual(terms(MAX_AGE, request=somebody).why, "authorization")
        for said in ("public", "s-maxage=60", "must-revalidate"):
            self.assertEqual(terms(f"Cache-Control: max-age=60, {said}", request=somebody).why, "", said)

    def test_cookies(self) -> None:
        """A freshness that is only a guess is not made for what looks personal."""
        guess = replace(SPEC, ttl=60.0)
        cookie = ("Cookie: a=b",)
        self.assertEqual(terms(spec=guess).why, "")
        self.assertEqual(terms(spec=guess, request=cookie).why, "cookie")
        self.assertEqual(terms(spec=replace(guess, cookies=True), request=cookie).why, "")
        self.assertEqual(terms("Set-Cookie: a=b", spec=replace(guess, cookies=True)).why, "set-cookie")
        self.assertEqual(terms(MAX_AGE, request=cookie).why, "")
        self.assertEqual(terms(MAX_AGE, "Set-Cookie: a=b").why, "")
        self.assertEqual(terms(MAX_AGE, "Set-Cookie: a=b", spec=replace(SPEC, set_cookie=False)).why, "set-cookie")
        hidden = terms(
            'Cache-Control: max-age=60, no-cache="set-cookie"', "Set-Cookie: a=b", spec=replace(SPEC, set_cookie=False)
        )
        self.assertEqual(hidden.why, "")
        self.assertNotIn(b"a=b", hidden.lines)

    def test_lines(self) -> None:
        """Fields that speak to this hop, or that the answer keeps from caches, are not kept; a Date always is."""
        kept = terms(
            'Cache-Control: max-age=60, no-cache="x-a", private="x-b"',
            *("X-A: 1", "X-B: 2", "X-C: 3", "Age: 5", "Proxy-Authenticate: Basic", "Surrogate-Control: content=x"),
            dated=False,
        ).lines
        self.assertEqual(
            [line.partition(b":")[0] for line in kept.split(b"\r\n") if line], [b"Cache-Control", b"X-C", b"Date"]
        )
        self.assertIn(f"Date: {date()}".encode(), kept)


class FreshnessTests(SynchronousTestCase):
    """RFC 9111 section 4.2."""

    def test_who_decides(self) -> None:
        """s-maxage before max-age before Expires; a targeted field before all of them."""
        old, new = f"Expires: {date(-60)}", f"Expires: {date(90)}"
        for lifetime, *fields in (
            (60, "Cache-Control: max-age=60", old),
            (0, "Cache-Control: max-age=0", new),
            (30, "Cache-Control: max-age=60, s-maxage=30"),
            (90, new),
            (0, old),
            (0, "Expires: 0"),
            (0, new, f"Expires: {date(91)}"),
            (90, new, new),
            (5, "CDN-Cache-Control: max-age=5", "Cache-Control: no-store", new),
            (60, "CDN-Cache-Control: bad bad", "Cache-Control: max-age=60"),
        ):
            self.assertEqual(terms(*map(str, fields)).lifetime, lifetime, fields)
        self.assertTrue(terms("CDN-Cache-Control: foo", new).assigned)

    def test_expires_is_measured_by_the_date(self) -> None:
        """A clock that is wrong is wrong in both; without a Date it is ours."""
        self.assertEqual(terms(f"Date: {date(400)}", f"Expires: {date(430)}").lifetime, 30)
        self.assertEqual(terms("Date: foo", f"Expires: {date(10)}").lifetime, 10)

    def test_guesses(self) -> None:
        """What the operator said, or a tenth of the time since the last change, and at most a day."""
        changed = f"Last-Modified: {date(-1000)}"
        self.assertEqual(terms(changed).lifetime, 100)
        self.assertEqual(terms(f"Last-Modified: {date(-(10**8))}").lifetime, 86400)
        self.assertEqual(terms(f"Last-Modified: {date(1000)}").lifetime, 0)
        self.assertEqual(terms(changed, spec=replace(SPEC, heuristic=0)).lifetime, 0)
        self.assertEqual(terms(changed, spec=replace(SPEC, ttl=7.0)).lifetime, 7)
        self.assertEqual(terms(changed, status=404).lifetime, 100)
        self.assertEqual(terms(status=404, spec=replace(SPEC, ttl=7.0)).lifetime, 0)
        self.assertEqual(terms(status=404, spec=replace(SPEC, negative_ttl=7.0)).lifetime, 7)
        self.assertEqual(terms(changed, status=500).why, "no-freshness")
        self.assertEqual(terms(changed, "Cache-Control: public", status=599).lifetime, 100)

    def test_age(self) -> None:
        """The larger of what it says and what its date tells; of several the first; nonsense is nothing."""
        for age, *fields in (
            (0, MAX_AGE),
            (30, "Age: 30"),
            (30, "Age: 30, 0"),
            (30, "Age: 30", "Age: 0"),
            (0, "Age: 0, 30"),
            (0, "Age: -30"),
            (0, "Age: 30.0"),
            (0, "Age: abc"),
            (100, "Age: 30", f"Date: {date(-100)}"),
            (30, "Age: 30", f"Date: {date(100)}"),
            (1 << 31, "Age: 99999999999999999999999"),
        ):
            self.assertEqual(terms(*map(str, fields)).age, age, fields)

    def test_stale_answers(self) -> None:
        """Who may use it when it is old: nobody, if it says so; else the operator, or the answer itself, decides."""
        usual = SPEC.stale_if_error
        for while_, error, said in (
            (0, usual, "max-age=60"),
            (30, 90, "max-age=60, stale-while-revalidate=30, stale-if-error=90"),
            (0, 0, "max-age=60, must-revalidate, stale-while-revalidate=30, stale-if-error=90"),
            (0, 0, "max-age=60, proxy-revalidate"),
            (0, 0, "s-maxage=60"),
            (30, 0, "s-maxage=60, stale-while-revalidate=30"),
        ):
            found = terms(f"Cache-Control: {said}")
            self.assertEqual((found.stale_while_revalidate, found.stale_if_error), (while_, error), said)
