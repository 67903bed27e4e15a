"""Tests of wmesh.mesh: a mesh opened by a program, and requests that the program sends through it."""

from __future__ import annotations

import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.web.http_headers import Headers

from tests.embedded import MeshCase
from tests.ports import free_port
from tests.waiting import until
from wmesh.control.launchers.ports import is_free
from wmesh.errors import ConfigError, ControlError, LaunchError, ResponseError, WireError


class OpenTests(MeshCase):
    async def test_text_or_path(self) -> None:
        """The text of a configuration, or where it stands. Once open, the instances are known and checked."""
        shop = self.shop()
        mesh = await self.start(shop)
        self.assertEqual((mesh.running, mesh.health()["services"]), (True, {"shop": "healthy"}))
        self.assertEqual(mesh.status()["phase"], "running")
        path = Path(self.folder, "other.ini")
        path.write_text(self.text(shop))
        other = await self.open(str(path))
        self.addCleanup(other.stop)
        self.assertEqual(other.health()["status"], "healthy")

    async def test_no_doors(self) -> None:
        """It opens no port unless it is asked to, whatever the configuration says."""
        public, admin = free_port(), free_port()
        doors = f"[gateway]\nlisten = tcp:{public}:interface=127.0.0.1\nadmin_listen = tcp:{admin}:interface=127.0.0.1"
        text = self.text(self.shop(), more=doors)
        closed = await self.open(text)
        self.assertTrue(is_free("127.0.0.1", public) and is_free("127.0.0.1", admin))
        await closed.stop()
        mesh = await self.open(text, listen=True)
        self.assertFalse(is_free("127.0.0.1", public) or is_free("127.0.0.1", admin))
        taken = await self.assertFailure(self.open(text, listen=True), Exception)
        self.assertIn(str(public), str(taken))
        await mesh.stop()
        self.assertTrue(is_free("127.0.0.1", public) and is_free("127.0.0.1", admin))

    async def test_bad_configuration(self) -> None:
        for config, what in (
            ("/nowhere/mesh.ini", "/nowhere/mesh.ini: cannot be read"),
            ("[gateway]\nnonsense = 1\n", "configuration:2: [gateway] nonsense: "),
        ):
            error = await self.assertFailure(self.open(config), ConfigError)
            self.assertIn(what, str(error))

    async def test_stopped(self) -> None:
        """Twice is no error; afterwards nothing is sent, and no shutdown trigger is left."""
        mesh = await self.start(self.shop())
        proxy = mesh.proxy("shop")
        await mesh.stop()
        await mesh.stop()
        self.assertFalse(mesh.running)
        error = await self.assertFailure(proxy.request("GET", "/"), ControlError)
        self.assertIn("draining", str(error))

    async def test_stopped_with_a_request_under_way(self) -> None:
        """The stop waits for it, as for any client's."""
        shop = self.shop()
        mesh = await self.start(shop)
        asked = mesh.proxy("shop").request("GET", "/wait")
        await until(lambda: shop.requests, "the request")
        stopped = mesh.stop()
        self.assertFalse(stopped.called)
        shop.answer(shop.requests[0])
        response = await asked
        self.assertEqual(await response.json(), await response.json())
        await stopped

    async def test_given_up_by_the_stop(self) -> None:
        shop = self.shop()
        mesh = await self.start(shop, more="[gateway]\ndrain_timeout = 10ms")
        asked = mesh.proxy("shop").request("GET", "/wait")
        await until(lambda: shop.requests, "the request")
        stopped = mesh.stop()
        error = await self.assertFailure(asked, ResponseError)
        self.assertIn("the mesh has stopped", str(error))
        await stopped

    async def test_unknown_service(self) -> None:
        mesh = await self.start(self.shop())
        error = self.assertRaises(ControlError, mesh.proxy, "shops")
        self.assertEqual(str(error), "there is no service 'shops'; there are: shop")


class LaunchTests(MeshCase):
    """What the mesh launches itself, with real children."""

    def launching(self) -> str:
        port = free_port()
        return (
            f"[mesh]\nstate_dir = {self.folder}/state\n[service:shop]\nport = {port}\nhealth_endpoint = /\n"
            f"command = python3 -m http.server {{port}} --bind 127.0.0.1 --directory {self.folder}\n"
            "health_check_interval = 200ms\nmin_instances = 1\nmax_instances = 2\n"
        )

    async def test_deployed_and_scaled(self) -> None:
        """Nothing runs before it is told to; then as many as are wanted; nothing after the stop."""
        Path(self.folder, "hello").write_text("hello")
        self.mesh = mesh = await self.open(self.launching())
        self.addCleanup(mesh.stop)
        self.assertEqual(mesh.status()["deployment"]["shop"]["running"], 0)
        early = await self.assertFailure(mesh.scale("shop", 2), ControlError)
        self.assertIn("before deploy_all", str(early))
        deployed = await mesh.deploy_all()
        self.assertEqual(str(deployed), "1 of 1 services are healthy")
        await self.assertFailure(mesh.deploy_all(), ControlError)
        response = await mesh.proxy("shop").request("GET", "/hello")
        self.assertEqual((response.status, await response.text()), (200, "hello"))
        other = await self.open(self.launching())
        self.assertIn("in use", str(await self.assertFailure(other.deploy_all(), LaunchError)))
        await other.stop()
        scaled = await mesh.scale("shop", 2)
        self.assertEqual((scaled["before"], scaled["target"]), (1, 2))
        await self.assertFailure(mesh.scale("shop", 3), ControlError)
        await until(lambda: len(mesh.gateway.directory.clusters["shop"].members) == 2, "two instances")
        pids = mesh.status()["deployment"]["shop"]["pids"]
        await mesh.stop()
        self.assertEqual([pid for pid in pids if Path(f"/proc/{pid}").exists()], [])


class RequestTests(MeshCase):
    async def ask(self, method: str = "GET", path: str = "/a", **more: Any) -> Any:
        response = await self.mesh.proxy("shop").request(method, path, **more)
        return await response.json()

    async def test_what_the_instance_sees(self) -> None:
        """The path as it is, the fields as they are; the mesh adds its own. The routes have no say."""
        await self.start(self.shop())
        seen = await self.ask(path="/api/price/1?x=%20", headers={"X-A": "b", "X-Many": ["1", "2"]})
        self.assertEqual((seen["method"], seen["target"]), ("GET", "/api/price/1?x=%20"))
        headers = seen["headers"]
        self.assertEqual((headers["host"], headers["x-a"], headers["x-many"]), ("shop", "b", "1, 2"))
        self.assertEqual((headers["x-forwarded-for"], headers["via"]), ("127.0.0.1", "1.1 wmesh"))
        headers = (await self.ask(headers=Headers({"Host": ["shop.example"], "X-Forwarded-For": ["203.0.113.9"]})))[
            "headers"
        ]
        self.assertEqual((headers["host"], headers["x-forwarded-for"]), ("shop.example", "203.0.113.9, 127.0.0.1"))

    async def test_bodies(self) -> None:
        """Bytes, none, or a file from where it stands."""
        await self.start(self.shop())
        self.assertEqual((await self.ask("POST", body=b"abc"))["size"], 3)
        self.assertEqual((await self.ask("POST", body=b""))["headers"]["content-length"], "0")
        self.assertNotIn("content-length", (await self.ask("GET"))["headers"])
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 1_000_000)
            file.seek(10)
            self.assertEqual((await self.ask("PUT", body=file))["size"], 999_990)

    async def test_no_good_request(self) -> None:
        """Whatever is wrong is said by name, and nothing is sent."""
        shop = self.shop()
        await self.start(shop)
        cases: list[tuple[dict[str, Any], str]] = [
            ({"path": "a"}, "path: 'a'"),
            ({"path": "/a b"}, "path: '/a b'"),
            ({"path": "/\u00e4"}, "path: "),
            ({"path": "/a/../b"}, "dot segments"),
            ({"method": "G T"}, "METHOD TARGET"),
            ({"method": b"GET"}, "method: b'GET'"),
            ({"headers": {"Content-Length": "3"}}, "Content-Length is not for programs"),
            ({"headers": {"a": 3}}, "'a': 3"),
            ({"headers": {"a": "\u20ac"}}, "Latin-1"),
            ({"headers": {"a": "b\r\nc: d"}}, "a line break"),
            ({"headers": {"a b": "c"}}, "header fields"),
            ({"headers": ["a"]}, "list; should be"),
            ({"body": "text"}, "str; should be bytes"),
            ({"body": StringIO("text")}, "binary mode"),
        ]
        proxy = self.mesh.proxy("shop")
        for given, what in cases:
            values = {"method": "GET", "path": "/", **given}
            asked = proxy.request(values.pop("method"), values.pop("path"), **values)
            error = await self.assertFailure(asked, WireError)
            self.assertIn(what, str(error), given)
        self.assertEqual(shop.requests, [])

    async def test_an_instance_is_gone(self) -> None:
        """Requests go on to those that are there; when nobody is, the mesh says so itself."""
        first, second = self.shop(), self.shop()
        mesh = await self.start(first, second)
        await first.port.stopListening()
        for _ in range(10):
            self.assertEqual((await self.ask())["instance"], str(second.address))
        await second.port.stopListening()
        for pool in list(mesh.gateway.plane.pools.values()):
            pool.close()
        response = await mesh.proxy("shop").request("GET", "/")
        self.assertEqual((response.instance, (await response.json())["service"]), (None, "shop"))
        self.assertIn(response.status, (502, 503))

    async def test_the_queue(self) -> None:
        """Where everybody is full it waits its turn; one that is given up there takes no place."""
        shop = self.shop()
        await self.start(shop, service="instance_max_connections = 1\nqueue_length = 2")
        proxy = self.mesh.proxy("shop")
        first = proxy.request("GET", "/wait")
        await until(lambda: shop.requests, "the first request")
        given_up, second = proxy.request("GET", "/never"), proxy.request("GET", "/second")
        full = await proxy.request("GET", "/third")
        self.assertEqual((full.status, full.instance, (await full.json())["error"]), (503, None, "queue_full"))
        given_up.cancel()
        await self.assertFailure(given_up, CancelledError)
        self.assertEqual(len(shop.requests), 1)
        shop.answer(shop.requests[0])
        await (await first).content()
        self.assertEqual((await (await second).json())["target"], "/second")
        await self.at_rest()

    async def test_cancelled(self) -> None:
        """The instance hears that nobody waits any more."""
        shop = self.shop()
        await self.start(shop)
        asked = self.mesh.proxy("shop").request("GET", "/wait")
        await until(lambda: shop.requests, "the request")
        asked.cancel()
        await self.assertFailure(asked, CancelledError)
        await until(lambda: shop.gone, "the end of its connection")
        await self.at_rest()
