"""registry_for: the right kind for each URL, and nothing loaded that is not needed."""

from __future__ import annotations

import subprocess
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.children import ENVIRONMENT
from wmesh.control.registry import registry_for
from wmesh.control.registry.embedded import EmbeddedRegistry
from wmesh.control.registry.memory import MemoryRegistry
from wmesh.control.registry.redis import RedisRegistry
from wmesh.errors import RegistryError
from wmesh.model import MeshSpec, RegistrySpec

LOADED = """
import sys
from twisted.internet.task import Clock
from wmesh.control.registry import registry_for
from wmesh.model import MeshSpec, RegistrySpec
registry_for(RegistrySpec(url="memory:"), MeshSpec(), Clock())
print([name for name in ("txredisapi", "hiredis", "twisted.internet.reactor", "OpenSSL") if name in sys.modules])
"""


class RegistryForTests(SynchronousTestCase):
    """The factory."""

    def make(self, url: str, **more: str) -> object:
        return registry_for(RegistrySpec(url=url, **more), MeshSpec(), Clock())

    def test_kinds(self) -> None:
        """Each scheme has its kind."""
        self.assertIsInstance(self.make("memory:"), MemoryRegistry)
        self.assertIsInstance(self.make("embedded:"), EmbeddedRegistry)
        for url in ("redis://host", "rediss://u:p@host:1/2", "unix:/run/valkey.sock", "redis+sentinel://h,i/mesh"):
            self.assertIsInstance(self.make(url), RedisRegistry)

    def test_mistakes(self) -> None:
        """A URL or namespace that makes no sense is refused here, before anything starts."""
        self.assertRaises(RegistryError, self.make, "http://host")
        self.assertRaises(RegistryError, self.make, "redis://host", namespace="a}b")

    def test_memory_loads_nothing(self) -> None:
        """A mesh without Redis neither loads its client nor installs a reactor."""
        result = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, env=ENVIRONMENT)
        self.assertEqual((result.stdout, result.stderr), ("[]\n", ""))
