"""The seed's environment variables override the file, and say so."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.texts import STATIC, good, problems, service

TWO = service("load_balancing_strategy = random") + service(name="other")


class OverrideTests(SynchronousTestCase):
    def test_log_level(self) -> None:
        """LOG_LEVEL=debug is the first thing anybody tries."""
        loaded = good("[mesh]\nlog_level = error\n" + STATIC, {"LOG_LEVEL": "DEBUG"})
        self.assertEqual(loaded.config.mesh.log_level, "debug")
        self.assertEqual(str(loaded.origins["mesh", "log_level"]), "environment: LOG_LEVEL")

    def test_milliseconds(self) -> None:
        """The two times of the environment count milliseconds, unless they carry a unit."""
        config = good(TWO, {"SERVICE_DISCOVERY_INTERVAL": "45000", "HEALTH_CHECK_TIMEOUT": "2s"}).config
        self.assertEqual(config.registry.discovery_interval, 45.0)
        self.assertEqual([spec.check.timeout for spec in config.services], [2.0, 2.0])

    def test_every_service(self) -> None:
        """What the environment says of services holds for all of them, whatever the file says."""
        environ = {
            "CIRCUIT_BREAKER_ENABLED": "false",
            "STICKY_SESSIONS_ENABLED": "true",
            "MAX_CONNECTIONS_PER_SERVICE": "7",
        }
        for spec in good(service("max_connections = 3") + service(name="other"), environ).config.services:
            found = (spec.breaker.enabled, spec.sticky.enabled, spec.max_connections)
            self.assertEqual(found, (False, True, 7))

    def test_default_strategy(self) -> None:
        """DEFAULT_LOAD_BALANCING_STRATEGY is a default: a service that names its own keeps it."""
        config = good(TWO, {"DEFAULT_LOAD_BALANCING_STRATEGY": "least_connections"}).config
        self.assertEqual([spec.strategy for spec in config.services], ["random", "least_connections"])

    def test_empty_variables_are_not_set(self) -> None:
        """A container that passes on unset variables as empty ones changes nothing."""
        names = ("LOG_LEVEL", "REDIS_HOST", "REDIS_PORT", "HEALTH_CHECK_TIMEOUT", "STICKY_SESSIONS_ENABLED")
        self.assertEqual(good(STATIC, dict.fromkeys(names, " ")).config, good(STATIC).config)

    def test_bad_values_name_the_variable(self) -> None:
        """All bad variables are told at once, by name, without blaming the file."""
        environ = {
            "LOG_LEVEL": "loud",
            "SERVICE_DISCOVERY_INTERVAL": "soon",
            "HEALTH_CHECK_TIMEOUT": "5",
            "CIRCUIT_BREAKER_ENABLED": "si",
            "DEFAULT_LOAD_BALANCING_STRATEGY": "ip_hush",
            "STICKY_SESSIONS_ENABLED": "2",
            "MAX_CONNECTIONS_PER_SERVICE": "-1",
            "REDIS_HOST": "a b",
            "REDIS_PORT": "x",
            "REDIS_DB": "x",
            "REDIS_TLS_ENABLED": "x",
        }
        found = problems(STATIC, environ)
        self.assertEqual({problem.option for problem in found}, set(environ))
        self.assertEqual({(problem.source, problem.line) for problem in found}, {("environment", 0)})


class RedisTests(SynchronousTestCase):
    def url(self, file: str, **environ: str) -> str:
        return good(f"[registry]\nurl = {file}\n", environ).config.registry.url

    def test_host_makes_a_redis_registry(self) -> None:
        """REDIS_HOST alone is enough to use a shared registry; the rest has the usual defaults."""
        self.assertEqual(self.url("embedded:", REDIS_HOST="r"), "redis://r:6379/0")
        self.assertEqual(
            self.url("memory:", REDIS_HOST="::1", REDIS_PORT="7", REDIS_DB="2", REDIS_TLS_ENABLED="true"),
            "rediss://[::1]:7/2",
        )

    def test_parts_are_replaced_one_by_one(self) -> None:
        """Where the file has a redis registry, each variable replaces its part and leaves the others."""
        file = "rediss://me:p%40ss@r:6380/3"
        self.assertEqual(self.url(file, REDIS_PASSWORD="n/w "), "rediss://me:n%2Fw%20@r:6380/3")
        self.assertEqual(self.url(file, REDIS_TLS_ENABLED="no", REDIS_DB="0"), "redis://me:p%40ss@r:6380/0")
        self.assertEqual(self.url(file, REDIS_HOST="s", REDIS_PORT="1"), "rediss://me:p%40ss@s:1/3")

    def test_options_stay(self) -> None:
        """What no variable names is kept: certificates as long as TLS is; a user may be given without its password."""
        file = "rediss://me@r:6380/3?ca=/etc/ca.pem"
        made = "rediss://you:pw@r:6380/3?ca=%2Fetc%2Fca.pem"
        self.assertEqual(self.url(file, REDIS_USERNAME="you", REDIS_PASSWORD="pw"), made)
        self.assertEqual(self.url(file, REDIS_TLS_ENABLED="no"), "redis://me@r:6380/3")

    def test_sentinels(self) -> None:
        """Sentinels make a registry as a host does, or replace those of the file, each part by itself."""
        made = "redis+sentinel://s1:26379,[::1]:7/mesh/0"
        both = {"REDIS_SENTINELS": "s1, [::1]:7", "REDIS_SENTINEL_MASTER": "mesh"}
        self.assertEqual(self.url("memory:", **both), made)
        self.assertEqual(self.url("redis://h:1", **both), made)
        self.assertEqual(self.url("memory:", REDIS_TLS_ENABLED="yes", **both), made.replace("redis+", "rediss+"))
        file = "rediss+sentinel://me:pw@a:1/m/2?sentinel_tls=no"
        self.assertEqual(self.url(file, REDIS_SENTINELS="b:2"), "rediss+sentinel://me:pw@b:2/m/2?sentinel_tls=no")
        self.assertEqual(self.url(file, REDIS_TLS_ENABLED="no"), "redis+sentinel://me:pw@a:1/m/2")
        login = {"REDIS_SENTINEL_USERNAME": "you", "REDIS_SENTINEL_PASSWORD": "s&t"}
        self.assertIn("?sentinel_user=you&sentinel_password=s%26t", self.url(file, **login))

    def test_not_meant_together(self) -> None:
        """One server and Sentinels, or Sentinels without a name for the master, are problems that say what to do."""
        sentinel = "[registry]\nurl = redis+sentinel://s/m\n"
        for text, environ, wrong in (
            ("", {"REDIS_SENTINELS": "s", "REDIS_SENTINEL_MASTER": "m", "REDIS_HOST": "h"}, "REDIS_HOST"),
            ("", {"REDIS_SENTINELS": "s"}, "REDIS_SENTINELS"),
            ("", {"REDIS_HOST": "h", "REDIS_SENTINEL_MASTER": "m"}, "REDIS_SENTINEL_MASTER"),
            ("", {"REDIS_SENTINELS": "s:x", "REDIS_SENTINEL_MASTER": "m"}, "REDIS_SENTINELS"),
            (sentinel, {"REDIS_HOST": "h"}, "REDIS_HOST"),
            (sentinel, {"REDIS_PORT": "1"}, "REDIS_PORT"),
        ):
            (problem,) = [one for one in problems(text, environ) if one.source == "environment"]
            self.assertEqual(problem.option, wrong)
            self.assertTrue(problem.hint)
        self.assertEqual(self.url("redis+sentinel://s/m", REDIS_PORT="tcp://10.0.0.1:6379"), "redis+sentinel://s/m")

    def test_stray_variables_change_nothing_and_are_noted(self) -> None:
        """A REDIS_PASSWORD that is around for another program does not turn the registry into another one."""
        config = good(STATIC, {"REDIS_PASSWORD": "hunter2"}).config
        self.assertEqual(config.registry.url, "memory:")
        self.assertEqual(len(config.notes), 1)
        self.assertNotIn("hunter2", config.notes[0])

    def test_what_kubernetes_sets(self) -> None:
        """REDIS_PORT=tcp://… comes from Kubernetes: it harms nobody who wants no redis, and is explained to others."""
        self.assertEqual(problems(STATIC, {"REDIS_PORT": "tcp://10.0.0.1:6379"}), ())
        (problem,) = problems(STATIC, {"REDIS_PORT": "tcp://10.0.0.1:6379", "REDIS_HOST": "redis"})
        self.assertIn("Kubernetes", problem.hint)

    def test_origin(self) -> None:
        """The URL remembers which variables made it."""
        loaded = good(STATIC, {"REDIS_HOST": "r", "REDIS_DB": "1"})
        self.assertEqual(loaded.origins["registry", "url"].variable, "REDIS_HOST, REDIS_DB")
