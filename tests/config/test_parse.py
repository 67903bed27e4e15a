"""A whole text becomes a configuration, or all of its problems."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import STATIC, good, problems, service
from wmesh.config import Loaded, load, parse
from wmesh.config.environment import REDIS_VARIABLES, VARIABLES
from wmesh.config.schema import SECTIONS
from wmesh.errors import ConfigError
from wmesh.model import Address, GatewaySpec, MeshSpec, RouteSpec, ServiceSpec, StaticInstance

EXAMPLE = Path(__file__).parents[2] / "etc" / "mesh.ini"


class GoodTests(SynchronousTestCase):
    def test_static_mesh(self) -> None:
        """The smallest useful file: one listener, no registry, one service at a fixed address."""
        config = good(STATIC).config
        self.assertEqual(
            config.services,
            (
                ServiceSpec(
                    name="shop",
                    instances=(StaticInstance(Address("10.0.0.5", 3000)),),
                    routes=(RouteSpec("", "/"),),
                    strip_prefix=False,
                ),
            ),
        )
        self.assertEqual(config.notes, ())

    def test_nothing_said(self) -> None:
        """An empty file is a gateway with its defaults, and a note that it serves nobody."""
        config = good("").config
        self.assertEqual((config.mesh, config.gateway), (MeshSpec(), GatewaySpec()))
        self.assertIn("no [service:NAME]", config.notes[0])

    def test_every_value_arrives(self) -> None:
        """An option fills its own field, also in the records inside the record."""
        spec = good(
            "[service:x]\ncommand = run {port}\nport = 1\nhealth_endpoint = /h\nhealth_check_retries = 9\n"
            "max_instances = 4\ntags = a, b\nproxy_cache_ttl = 300\nload_balancing_strategy = random\n"
        ).config.services[0]
        self.assertEqual((spec.check.path, spec.check.fall, spec.scaling.max_instances), ("/h", 9, 4))
        self.assertEqual((spec.tags, spec.cache.ttl, spec.strategy), (("a", "b"), 300.0, "random"))
        self.assertEqual(spec.command, ("run", "{port}"))

    def test_default_route(self) -> None:
        """A service is reached at its name, unless it says otherwise or is kept off the gateway."""
        self.assertEqual(good(service()).config.services[0].routes, (RouteSpec("", "/shop/"),))
        self.assertEqual(good(service("routes =")).config.services[0].routes, ())
        self.assertEqual(good(service("proxy_enabled = no", "routes = /x/")).config.services[0].routes, ())

    def test_defaults_that_follow_other_options(self) -> None:
        """Asking for checks every 200 ms, or for at least two instances, needs no second option."""
        spec = good(service("health_check_interval = 200ms", "min_instances = 2")).config.services[0]
        self.assertEqual((spec.check.fast_interval, spec.scaling.max_instances), (0.2, 2))

    def test_websockets_have_no_limit_unless_it_is_given(self) -> None:
        for text, limit in (
            (service(), 1024),
            (service("max_connections = 0"), 0),
            (service("protocol = websocket"), 0),
            (service("protocol = websocket", "max_connections = 7"), 7),
        ):
            self.assertEqual(good(text).config.services[0].max_connections, limit, text)

    def test_empty_values(self) -> None:
        """An empty value switches off what can be switched off, and is missing everywhere else."""
        gateway = good("[gateway]\nadmin_listen =\nadmin_routes =\n").config.gateway
        self.assertEqual((gateway.admin_listen, gateway.admin_routes), ("", ()))
        (problem,) = problems("[gateway]\nlisten =\n")
        self.assertEqual((problem.message, problem.hint), ("the value is missing", "write for example tcp:8000"))

    def test_origins(self) -> None:
        """Each value knows its line, or that it is the default."""
        origins = good(STATIC).origins
        self.assertEqual(str(origins["service:shop", "routes"]), "mesh.ini:9")
        self.assertEqual(str(origins["gateway", "listen"]), "mesh.ini:2")
        self.assertEqual(str(origins["mesh", "name"]), "default")

    def test_the_password_stays_out_of_repr(self) -> None:
        """A configuration that is logged whole shows no password."""
        self.assertNotIn("hunter2", repr(good("[registry]\nurl = redis://:hunter2@h\n").config))


class ExampleTests(SynchronousTestCase):
    def test_the_grocery_mesh(self) -> None:
        """The example has the six services of the original, with its ports, strategies, bounds and priorities."""
        found = {
            spec.name: (
                spec.port,
                spec.protocol,
                spec.scaling.min_instances,
                spec.scaling.max_instances,
                spec.strategy,
                spec.deployment_priority,
            )
            for spec in load(str(EXAMPLE), {}).config.services
        }
        self.assertEqual(
            found,
            {
                "walmart-api-server": (3000, "http", 1, 3, "least_connections", 1),
                "walmart-websocket": (8080, "websocket", 1, 2, "least_connections", 2),
                "walmart-pricing": (3007, "http", 1, 3, "weighted_round_robin", 3),
                "walmart-nlp-queue": (3008, "http", 1, 2, "least_response_time", 4),
                "walmart-cache-warmer": (3006, "http", 1, 1, "round_robin", 5),
                "walmart-memory-monitor": (3009, "http", 1, 1, "round_robin", 6),
            },
        )

    def test_pricing_is_as_in_the_original(self) -> None:
        """The service that the original spells out is spelled out the same here."""
        spec = next(s for s in load(str(EXAMPLE), {}).config.services if s.name == "walmart-pricing")
        self.assertEqual(
            (spec.version, spec.host, spec.capacity, spec.weight, spec.tags, spec.check.path, spec.dependencies),
            ("1.0.0", "localhost", 150, 2, ("walmart", "pricing", "comparison"), "/health", ("walmart-api-server",)),
        )
        self.assertTrue(spec.breaker.enabled and spec.proxy_enabled and spec.cache.enabled)
        scaling = spec.scaling
        self.assertEqual((spec.cache.ttl, scaling.cpu_threshold, scaling.memory_threshold), (300, 70, 80))

    def test_the_example_is_readable(self) -> None:
        """It teaches: its lines fit a terminal beside something else, and it explains more than it sets."""
        lines = EXAMPLE.read_text().splitlines()
        self.assertLessEqual(max(map(len, lines)), 110)
        self.assertGreater(sum(line.startswith("#") for line in lines), 50)


class BadTests(SynchronousTestCase):
    def test_a_misspelt_option(self) -> None:
        """The example of the issue, with all that a person needs to put it right."""
        (problem,) = problems(service("strategey = random"))
        self.assertEqual(
            str(problem),
            "mesh.ini:3: [service:shop] strategey: no option has this name; did you mean load_balancing_strategy?",
        )

    def test_an_option_in_the_wrong_section(self) -> None:
        """Who writes a known option at the wrong place is told the right one."""
        (problem,) = problems("[gateway]\nlease = 3\n")
        self.assertIn("[registry]", problem.hint)

    def test_misspelt_sections(self) -> None:
        """All the ways in which a header comes out wrong lead to the right one."""
        for header, hint in {
            "Gateway": "[gateway]",
            "registy": "[registry]",
            "services:x": "[service:x]",
            "service x": "[service:x]",
            "Service.x": "[service:x]",
            "service": "[service:NAME]",
            "walmart-pricing": "[service:walmart-pricing]",
            "%%": "known: [mesh], [gateway], [registry], [service:NAME]",
        }.items():
            (problem,) = problems(f"[{header}]\nanything = 1\n")
            self.assertIn(hint, problem.hint)

    def test_names_of_services(self) -> None:
        """A name must do as part of a path and of a key; the gateway's own is taken."""
        for name in ("Shop", "shop_1", "-shop", "shop-", "sh op", "", "x" * 64, "é", "wmesh-admin"):
            self.assertEqual(len(problems(f"[service:{name}]\ninstances = h:1\n")), 1, name)
        for name in ("a", "0", "a-b", "x" * 63):
            self.assertEqual(problems(f"[service:{name}]\ninstances = h:1\n"), ())

    def test_all_at_once_in_order(self) -> None:
        """One run shows every mistake, from the top of the file to its end."""
        text = "[mesh]\nlog_level = loud\nnam = x\n[gateway]\nlisten = 80\n" + service("port = x", "tags = a b, c d")
        lines = [problem.line for problem in problems(text, {"LOG_LEVEL": "x"})]
        self.assertEqual(lines, [2, 3, 5, 8, 9, 9, 0])

    def test_each_bad_entry_at_its_own_line(self) -> None:
        """In a long list, the lines that are wrong are named."""
        found = problems("[service:x]\ninstances =\n  h:1\n  # note\n  h:x\n  h\n")
        self.assertEqual([problem.line for problem in found], [5, 6])

    def test_an_option_swallowed_by_indentation(self) -> None:
        """An option that is indented by accident is found, instead of becoming part of the one above."""
        (problem,) = problems("[service:x]\ninstances = h:1\n  weight = 3\n")
        self.assertEqual((problem.line, problem.option), (3, "weight"))
        (problem,) = problems("[mesh]\nname = a\n  b\n")
        self.assertIn("several lines", problem.message)

    def test_one_slip_is_told_once(self) -> None:
        """A refused value does not make rules fail that depend on it."""
        text = "[registry]\nurl = redis:/x\nlease = x\n"
        text += "[service:a]\ncommand = {x}\nport = x\ndependencies = B, b\n[service:B]\n"
        self.assertEqual([problem.line for problem in problems(text)], [2, 3, 5, 6, 7, 8])


class LoadTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, content: bytes) -> str:
        path = Path(self.folder) / "mesh.ini"
        path.write_bytes(content)
        return str(path)

    def refused(self, path: str) -> str:
        return str(self.assertRaises(ConfigError, load, path, {}))

    def test_a_file(self) -> None:
        """The path is what messages and origins call the file."""
        path = self.write(STATIC.encode())
        loaded = load(path, {})
        self.assertIsInstance(loaded, Loaded)
        self.assertEqual(str(loaded.origins["registry", "url"]), f"{path}:5")

    def test_files_that_cannot_be_read(self) -> None:
        """A missing file, a directory and an impossible path are problems of the configuration, not crashes."""
        self.assertIn("No such file", self.refused(f"{self.folder}/none.ini"))
        self.assertIn("directory", self.refused(self.folder))
        self.assertIn("not a path", self.refused("\0"))

    def test_not_utf8(self) -> None:
        """A file in another encoding is named with the line of the first bad byte."""
        path = self.write(b"[mesh]\n# caf\xe9\n")
        self.assertIn(f"{path}:2: byte 0xe9 is not UTF-8", self.refused(path))


headers = st.sampled_from(["[mesh]", "[gateway]", "[registry]", "[service:a]", "[service:b]", "[service", "[x]", "[]"])
names = st.sampled_from(sorted({name for kind in SECTIONS.values() for name in kind.options}))
scraps = st.sampled_from(
    ["{port}", "{", "'", "(", "redis://", "@", ":", "//", "[::1]:80", "a, b", "tcp:8000", "5s", "-1", "#", "9" * 400]
)
values = st.lists(st.one_of(scraps, st.text(max_size=5)), max_size=4).map("".join)
rows = st.one_of(
    headers,
    st.builds("{} = {}".format, names, values),
    st.builds("  {}".format, values),
    st.text(max_size=20),
)
variables = st.sampled_from([variable.name for variable in VARIABLES] + list(REDIS_VARIABLES))


class AnyTextTests(SynchronousTestCase):
    def holds(self, text: str, environ: dict[str, str]) -> None:
        try:
            parse(text, "f", environ)
        except ConfigError as error:
            self.assertTrue(error.problems)
            for problem in error.problems:
                self.assertTrue(str(problem).isprintable(), repr(str(problem)))

    @settings(max_examples=400, deadline=None)
    @given(st.lists(rows, max_size=15).map("\n".join), st.dictionaries(variables, values, max_size=4))
    @example("[service:a]\nhealth_check_expected_body = " + "(" * 3000, {})
    @example("", {"REDIS_HOST": "h", "REDIS_PASSWORD": "\ud800"})
    def test_like_a_configuration(self, text: str, environ: dict[str, str]) -> None:
        """No mixture of known names and broken values makes parsing fail with anything but a list of problems."""
        self.holds(text, environ)

    @settings(max_examples=200, deadline=None)
    @given(st.text())
    def test_anything(self, text: str) -> None:
        """No text whatsoever makes parsing fail with anything but a list of problems."""
        self.holds(text, {})
