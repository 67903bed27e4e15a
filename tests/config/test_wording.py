"""Messages are safe to print, and guess well."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from wmesh.config.schema import SERVICE
from wmesh.config.wording import nearest, quoted


class QuotedTests(SynchronousTestCase):
    def test_credentials_are_taken_out(self) -> None:
        """A password that slipped into the wrong option does not reach the terminal or the journal."""
        for text in ("redis://me:hunter2@host", "redis://:hun/ter2@x@host", "redis:me:hunter2@h", "x //:hunter2\n@h"):
            self.assertNotIn("ter2", quoted(text))

    def test_one_printable_line(self) -> None:
        """Nothing in a value can move the cursor, end the line or hide."""
        for text in ("a\nb", "a\x1b[2J", "a\u202eb", "\ud800", "x" * 1000):
            shown = quoted(text)
            self.assertTrue(shown.isprintable() and len(shown) < 100, shown)


class NearestTests(SynchronousTestCase):
    def test_what_was_meant(self) -> None:
        """A slip, a forgotten beginning or another spelling leads to the option that was meant."""
        for word, option in {
            "strategey": "load_balancing_strategy",
            "prot": "port",
            "retries": "health_check_retries",
            "health-endpoint": "health_endpoint",
            "health_interval": "health_check_interval",
            "max_instance": "max_instances",
            "balancing_strategy": "load_balancing_strategy",
            "dependancies": "dependencies",
            "Tags": "tags",
        }.items():
            self.assertEqual(nearest(word, SERVICE.options), option)

    def test_no_wild_guess(self) -> None:
        """Where nothing is alike, nothing is proposed."""
        for word in ("xyzzy", "q", "", "colour"):
            self.assertIsNone(nearest(word, SERVICE.options))
