"""Addresses, routes, listeners, networks and the registry's URL."""

from __future__ import annotations

import ipaddress

from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import refusal
from wmesh.config import places
from wmesh.model import Address, NamedInstances, RouteSpec, StaticInstance, Subset


class InstanceTests(SynchronousTestCase):
    def test_commas_lines_weights_and_ipv6(self) -> None:
        """All spellings that the manual promises."""
        self.assertEqual(
            places.instances.read("10.0.0.1:80 weight=2, shop_1:80\n[::1]:80"),
            (
                StaticInstance(Address("10.0.0.1", 80), 2),
                StaticInstance(Address("shop_1", 80)),
                StaticInstance(Address("::1", 80)),
            ),
        )

    def test_slips(self) -> None:
        """Each slip is answered with the right spelling."""
        for text, hint in {
            "http://h:80": "without a scheme",
            "h": "127.0.0.1:3000",
            "::1:80": "[::1]:3000",
            "h:0": "1 to 65535",
            "h:80 weight=0": "1 to 1000",
            "h:80 i:80": "a comma",
            "300.1.1.1:80": "not a host",
            "h:80, h:80": "listed twice",
            "h:80 weight=2, h:80": "listed twice",
        }.items():
            self.assertIn(hint, refusal(places.instances, text))


class NamedInstanceTests(SynchronousTestCase):
    def test_dns_and_srv(self) -> None:
        """Mixed with fixed addresses, on one line or several; case, weights, full names."""
        self.assertEqual(
            places.instances.read(
                "10.0.0.1:80, dns:shop_1.internal:3000 weight=3\nSRV:_http._tcp.shop.test, srv:web.service.consul\n"
                "dns:localhost:80\ndns:db.:80"
            ),
            (
                StaticInstance(Address("10.0.0.1", 80)),
                NamedInstances("shop_1.internal", 3000, 3),
                NamedInstances("_http._tcp.shop.test"),
                NamedInstances("web.service.consul"),
                NamedInstances("localhost", 80),
                NamedInstances("db.", 80),
            ),
        )

    def test_hosts_that_are_called_so(self) -> None:
        """A host may be called dns, and have a port."""
        self.assertEqual(places.instances.read("dns:53"), (StaticInstance(Address("dns", 53)),))

    def test_slips(self) -> None:
        """Each slip is answered with the right spelling."""
        for text, hint in {
            "dns:web": "write dns:web:PORT",
            "dns:": "write dns:NAME:PORT",
            "dns::80": "write dns:NAME:PORT",
            "dns:web:99999": "1 to 65535",
            "dns:web:0": "1 to 65535",
            "dns:web:http": "1 to 65535",
            "dns:10.0.0.1:80": "leave dns: or srv: out for 10.0.0.1",
            "dns:[::1]:80": "leave dns: or srv: out for ::1",
            "dns:we b:80": "a comma",
            "dns:-web:80": "not a name in the DNS",
            "dns:web..test:80": "not a name in the DNS",
            "dns:wéb:80": "not a name in the DNS",
            f"dns:{'a' * 64}.test:80": "at most 63",
            f"dns:{'a.' * 130}test:80": "at most 253",
            "dns://web:80": "without a scheme",
            "dns:web:80 weight=0": "1 to 1000",
            "dns:_http._tcp.web:80": "write srv:_http._tcp.web",
            "srv:": "write srv:_http._tcp.NAME",
            "srv:_http._tcp.web:80": "write srv:_http._tcp.web;",
            "srv:_http.tcp.web": "srv:_http._tcp.NAME",
            "srv:http._tcp.web": "srv:_http._tcp.NAME",
            "srv:_http._tcp": "srv:_http._tcp.NAME",
            "srv:_http": "srv:_http._tcp.NAME",
            "srv:10.0.0.1": "leave dns: or srv: out for 10.0.0.1",
            "srv:_http._tcp.web weight=2": "weights of their own",
            "dns:web:80, dns:WEB.:80": "listed twice",
            "srv:web.test, srv:web.test": "listed twice",
        }.items():
            self.assertIn(hint, refusal(places.instances, text), text)

    def test_shown_as_written(self) -> None:
        """Status and logs name a source by what stands in the file."""
        for text in ("dns:shop.internal:3000", "srv:_http._tcp.shop.test"):
            self.assertEqual(str(places.instances.read(text)[0]), text)


class NameServerTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """With or without a port, of both families."""
        self.assertEqual(
            places.name_servers.read("10.0.0.2, 127.0.0.1:5353, ::1, [::1]:54\n[2001:db8::1]"),
            (
                Address("10.0.0.2", 53),
                Address("127.0.0.1", 5353),
                Address("::1", 53),
                Address("::1", 54),
                Address("2001:db8::1", 53),
            ),
        )

    def test_slips(self) -> None:
        """Names would have to be looked up first."""
        for text, hint in {
            "dns.internal": "IP address",
            "dns.internal:53": "IP address",
            "10.0.0.2:99999": "1 to 65535",
            "10.0.0.2:": "1 to 65535",
            "udp://10.0.0.2": "IP address",
            "::1, [::1]:53": "listed twice",
        }.items():
            self.assertIn(hint, refusal(places.name_servers, text), text)


class RouteTests(SynchronousTestCase):
    def test_host_and_prefix(self) -> None:
        """Hosts are compared in lower case; paths are not."""
        self.assertEqual(
            places.routes.read("/Shop/, Shop.Example/x\n/"),
            (RouteSpec("", "/Shop/"), RouteSpec("shop.example", "/x"), RouteSpec("", "/")),
        )

    def test_slips(self) -> None:
        """Each slip is answered with the right spelling."""
        for text, hint in {
            "http://h/": "without a scheme",
            "shop": "/shop/",
            "*.h/": "wildcard",
            "h:80/": "port",
            "/a b": "not a path",
            "/a?b": "not a path",
            "/a//b": "not a path",
            "/a/../b": "not a path",
            "/, /": "listed twice",
        }.items():
            self.assertIn(hint, refusal(places.routes, text))


class ListenerTests(SynchronousTestCase):
    def test_endpoints(self) -> None:
        """What Twisted listens on passes, whatever stands behind the kind."""
        text = "tcp:8000\nunix:/run/x.sock:mode=660\nsystemd:domain=INET:index=0\nssl:443:privateKey=k.pem\ntcp:port=0"
        self.assertEqual(places.listeners.read(text), tuple(text.split("\n")))

    def test_slips(self) -> None:
        """Whoever writes only a port or an address is shown the endpoint."""
        for text, hint in {
            "8000": "write tcp:8000",
            ":8000": "write tcp:8000",
            "127.0.0.1:8000": "write tcp:8000:interface=127.0.0.1",
            "tpc:8000": "did you mean tcp?",
            "tcp:http": "0 to 65535",
            "tcp:70000": "0 to 65535",
            "tcp:": "0 to 65535",
            "tcp:8000, tcp:8001": "one endpoint a line",
            "http://x": "Twisted server endpoint",
        }.items():
            self.assertIn(hint, refusal(places.listeners, text))

    def test_which_port_is_bound(self) -> None:
        """However it is written, the port and interface are found; other endpoints bind none."""
        self.assertEqual(places.bound_port("tcp:80:interface=\\:\\:1"), ("::1", "80"))
        self.assertEqual(places.bound_port("tcp:interface=h:port=80"), ("h", "80"))
        self.assertEqual(places.bound_port("ssl:443"), ("", "443"))
        self.assertIsNone(places.bound_port("unix:/x"))
        self.assertIsNone(places.bound_port(""))


class NetworkTests(SynchronousTestCase):
    def test_addresses_and_networks(self) -> None:
        """An address is a network of one; what is shown can be written again."""
        found = places.networks.read("127.0.0.1, 10.0.0.0/8\n::1")
        self.assertEqual([str(network) for network in found], ["127.0.0.1/32", "10.0.0.0/8", "::1/128"])
        self.assertEqual(places.networks.show(found), "127.0.0.1, 10.0.0.0/8, ::1")
        self.assertIsInstance(found[0], ipaddress.IPv4Network)

    def test_slips(self) -> None:
        """An address with a mask it does not fit is answered with the network."""
        self.assertIn("write 10.0.0.0/8", refusal(places.networks, "10.0.0.1/8"))
        self.assertIn("not a network", refusal(places.networks, "localhost"))


class HealthPathTests(SynchronousTestCase):
    def test_paths(self) -> None:
        """A path, with a query if need be, but not a URL."""
        self.assertEqual(places.health_path.read("/health?full=1"), "/health?full=1")
        self.assertIn("only the path", refusal(places.health_path, "http://h/health"))
        self.assertIn("slash", refusal(places.health_path, "health"))


class RegistryTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """All that the registry itself understands (wmesh.registry_url), and no more."""
        for text in (
            "embedded:",
            "memory:",
            "redis://h",
            "rediss://u:p%40@h:6380/3",
            "redis://[::1]:6379/0",
            "rediss://h?ca=/etc/ca.pem&cert=/etc/me.pem&key=/etc/me.key",
            "redis+sentinel://u:p@s1:26379,s2/mymaster/0?sentinel_password=x",
            "rediss+sentinel://s1/mymaster",
            "unix:/run/valkey.sock",
        ):
            self.assertEqual(places.registry.read(text), text)
        self.assertEqual(places.registry.read("Memory"), "memory:")
        self.assertEqual(places.registry.read("REDISS://:P@H"), "rediss://:P@H")

    def test_a_server_to_share(self) -> None:
        """Where it has to be a server, what lives in the gateway alone is refused; it is not called a registry."""
        self.assertEqual(places.redis.read("redis://u:p@h/1"), "redis://u:p@h/1")
        for text in ("memory:", "embedded:", "Embedded://"):
            self.assertIn("no server that gateways could share", refusal(places.redis, text))
        said = refusal(places.redis, "redis://:hunter2@h:port")
        self.assertIn("the url cannot be read", said)
        self.assertNotIn("hunter2", said)
        self.assertNotIn("registry", refusal(places.redis, "http://h"))

    def test_no_part_of_a_bad_url_is_shown(self) -> None:
        """A password reaches no message, wherever the slip is."""
        for text in (
            "redis://:hunter2@ho st:6379/0",
            "redis://:hun/ter2@h:1/0",
            "redis://:#hunter2@h",
            "redis://:hunter2@h:port",
            "redis://:hunter2@h/zero",
            "redis://:hunter2@[::1",
            "redis://:hunter2@h?db=1",
            "redis://:hunter2@h:0",
            "rediss://:hunter2@℀",
            "redis:hunter2@h",
            "memory:hunter2",
            "redis://hunter2:99999@/0",
            "hunter2://@x",
            "redis+sentinel://:hunter2@s1,s2",
            "redis+sentinel://:hunter2@s 1/m",
            "redis://:hunter2@10.0.0.256",
            "redis://12?hunter2=1@h",
            "rediss://:hunter2@h?cert=x",
        ):
            said = refusal(places.registry, text)
            self.assertNotIn("ter2", said.removeprefix('"hunter2" is not a kind'))


class ServiceRouteTests(SynchronousTestCase):
    def test_subsets(self) -> None:
        """A version, tags, or both behind a route; and none, as ever."""
        self.assertEqual(
            places.service_routes.read("/, Shop.Example/new/ version=2.0.0, /eu/ tag=eu tag=gpu/a100 version=1"),
            (
                RouteSpec("", "/"),
                RouteSpec("shop.example", "/new/", Subset("2.0.0")),
                RouteSpec("", "/eu/", Subset("1", ("eu", "gpu/a100"))),
            ),
        )
        self.assertEqual(str(places.service_routes.read("/x version=2 tag=a")[0]), "/x version=2 tag=a")

    def test_slips(self) -> None:
        """Each slip is answered with the right spelling."""
        for text, hint in {
            "/x v=2": "version=V or tag=T",
            "/x version": "version=V or tag=T",
            "/x version=": "version=V or tag=T",
            "/x tag=a;b": "version=V or tag=T",
            "/x version=1 version=2": "two versions",
            "/x, /x version=2": "listed twice",
        }.items():
            self.assertIn(hint, refusal(places.service_routes, text), text)


class HashSourceTests(SynchronousTestCase):
    def test_all_of_them(self) -> None:
        """As the manual lists them; kinds in any case, names as they are."""
        for text in ("client", "header:X-User", "cookie:session", "query:user", "path", "path:2"):
            self.assertEqual(places.hash_source.read(text), text)
        self.assertEqual(places.hash_source.read("Header:X-User"), "header:X-User")

    def test_slips(self) -> None:
        """What is missing, too much, or misspelt."""
        for text, hint in {
            "headr:X": "did you mean header",
            "ip": "client, header:NAME",
            "header": "write header:NAME",
            "header:": "write header:NAME",
            "header:a b": "write header:NAME",
            "client:1": "write client",
            "path:0": "path:1",
            "path:x": "path:1",
            "path:": "path:1",
        }.items():
            self.assertIn(hint, refusal(places.hash_source, text), text)
