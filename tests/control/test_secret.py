"""Tests of wmesh.control.secret: made once, kept, read by its owner only, and never half a secret."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cluster.samples import a_spec
from wmesh.control.secret import FILE, LENGTH, sticky_secret
from wmesh.errors import ConfigError
from wmesh.model import GatewaySpec, MeshConfig, MeshSpec, RegistrySpec, StickySpec


class SecretTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        sticky = a_spec(sticky=StickySpec(enabled=True))
        self.config = MeshConfig(MeshSpec(state_dir=str(self.folder)), GatewaySpec(), RegistrySpec(), (sticky,))

    @property
    def file(self) -> Path:
        return self.folder / FILE

    def test_made_once_and_kept(self) -> None:
        """The next start finds the same one; nobody but its owner may read it."""
        secret = sticky_secret(self.config)
        self.assertEqual((len(secret), sticky_secret(self.config)), (LENGTH, secret))
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual([path.name for path in self.folder.iterdir()], [FILE])

    def test_two_gateways_have_two(self) -> None:
        """It is made by chance."""
        first = sticky_secret(self.config)
        self.file.unlink()
        self.assertNotEqual(sticky_secret(self.config), first)

    def test_configured(self) -> None:
        """Then no file is written, nor read."""
        config = replace(self.config, gateway=GatewaySpec(sticky_secret="0123456789abcdef"))
        self.assertEqual(sticky_secret(config), b"0123456789abcdef")
        self.assertFalse(self.folder.exists())

    def test_not_needed(self) -> None:
        """Where nothing is sticky, nothing is made."""
        self.assertEqual(sticky_secret(replace(self.config, services=(a_spec(),))), b"")
        self.assertFalse(self.folder.exists())

    def test_a_damaged_file(self) -> None:
        """Cut short, or no secret at all: replaced by a new one, and that is kept."""
        self.folder.mkdir()
        for rubbish in (b"", b"abcd", b"not hexadecimal", b"\xff\xfe", b"00" * (LENGTH - 1)):
            self.file.write_bytes(rubbish)
            secret = sticky_secret(self.config)
            self.assertEqual((len(secret), sticky_secret(self.config)), (LENGTH, secret))

    def test_where_it_cannot_be_kept(self) -> None:
        """The operator hears which file, why, and what to do."""
        Path(self.folder).write_text("a file, where a folder should be")
        error = self.assertRaises(ConfigError, sticky_secret, self.config)
        [problem] = error.problems
        self.assertEqual(problem.source, str(self.file))
        self.assertIn("cannot be kept", problem.message)
        self.assertIn("sticky_secret", problem.hint)

    def test_a_leftover_of_a_start_that_was_killed(self) -> None:
        """It is written over, and does not lend the secret its rights."""
        self.folder.mkdir()
        leftover = self.file.with_suffix(".new")
        leftover.write_text("half")
        os.chmod(leftover, 0o644)
        sticky_secret(self.config)
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
