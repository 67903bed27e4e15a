"""The client of those who register and do not look. What it does against a server is held by tests/test_api.py."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.control.registry.scene import Server, a_record
from wmesh.control.registry.registrar import Registrar, own_host
from wmesh.errors import RegistryError
from wmesh.model import LoadSample, RegistrySpec
from wmesh.registry_url import Target, parse_target


class OwnHostTests(TestCase):
    """own_host(): by which address others reach this machine."""

    async def test_a_registry_of_this_machine(self) -> None:
        """A socket, and a server at loopback, are used by this machine alone."""
        from twisted.internet import reactor

        self.assertEqual(await own_host(Target(path="/run/x.sock"), reactor), "127.0.0.1")
        self.assertEqual(await own_host(parse_target("redis://127.0.0.1"), reactor), "127.0.0.1")

    async def test_by_way_of_sentinels(self) -> None:
        """The first Sentinel that there is a way to counts."""
        from twisted.internet import reactor

        target = parse_target("redis+sentinel://nowhere.invalid,127.0.0.1/mesh")
        self.assertEqual(await own_host(target, reactor), "127.0.0.1")

    async def test_no_way(self) -> None:
        """A host that does not exist is an error that says what to do."""
        from twisted.internet import reactor

        try:
            await own_host(parse_target("redis://nowhere.invalid"), reactor)
        except RegistryError as error:
            self.assertIn("name it (host)", str(error))
        else:
            self.fail("it has found a way")


class RegistrarTests(TestCase):
    """Registrar against a server."""

    async def test_what_is_unknown_is_named(self) -> None:
        """A renewal says who has to register again; one that was not lost is only renewed."""
        from twisted.internet import reactor

        server = Server()
        self.addCleanup(server.remove)
        await server.start()
        registrar = Registrar(parse_target(server.url), RegistrySpec(), reactor)
        registrar.start()
        self.addCleanup(registrar.stop)
        await registrar.register(a_record())
        beats = {("pricing", name): LoadSample() for name in ("pricing-1", "pricing-2")}
        self.assertEqual(await registrar.renew(beats), [("pricing", "pricing-2")])
