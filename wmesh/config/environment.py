"""The environment variables that override the file.

Strategy: one table says what each variable stands for; the values are read by the kinds of the schema, so that file and
environment accept the same spellings. An empty variable counts as not set, as container tools leave them. The REDIS_*
variables each replace one part of the registry's URL; only REDIS_HOST and REDIS_SENTINELS turn a mesh without a redis
registry into one with it, because a stray REDIS_PORT or REDIS_PASSWORD must not. Variables that cannot be meant
together are problems. Those that wmesh does not know are none of its business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wmesh.config import kinds, places, units
from wmesh.config.draft import Draft, Origin
from wmesh.config.kinds import Kind
from wmesh.config.schema import SECTIONS, kind_for
from wmesh.config.wording import Invalid, quoted
from wmesh.errors import RegistryError
from wmesh.registry_url import SENTINEL_PORT, Place, Sentinels, Target, parse_target, read_places


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. `section` and `option` name what it sets; of "service", it is every service.

    `milliseconds`: a bare number counts milliseconds. `weak`: only services that say nothing themselves are set.
    """

    name: str
    section: str
    option: str
    text: str
    milliseconds: bool = False
    weak: bool = False


VARIABLES = (
    Variable("LOG_LEVEL", "mesh", "log_level", "Sets log_level."),
    Variable(
        "SERVICE_DISCOVERY_INTERVAL",
        "registry",
        "discovery_interval",
        "Sets discovery_interval; a bare number counts milliseconds.",
        milliseconds=True,
    ),
    Variable(
        "HEALTH_CHECK_TIMEOUT",
        "service",
        "health_check_timeout",
        "Sets health_check_timeout of every service; a bare number counts milliseconds.",
        milliseconds=True,
    ),
    Variable(
        "CIRCUIT_BREAKER_ENABLED",
        "service",
        "circuit_breaker_enabled",
        "Sets circuit_breaker_enabled of every service.",
    ),
    Variable(
        "DEFAULT_LOAD_BALANCING_STRATEGY",
        "service",
        "load_balancing_strategy",
        "Sets load_balancing_strategy of services that name none.",
        weak=True,
    ),
    Variable("STICKY_SESSIONS_ENABLED", "service", "sticky_sessions", "Sets sticky_sessions of every service."),
    Variable("MAX_CONNECTIONS_PER_SERVICE", "service", "max_connections", "Sets max_connections of every service."),
)


def _read_password(text: str) -> str:
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        raise Invalid("it has characters that cannot be sent", "use another") from None
    return text


def _read_sentinels(text: str) -> tuple[Place, ...]:
    try:
        found = read_places(text)
    except RegistryError:
        found = ()
    if not found or not all(places.is_host(host) for host, _ in found):
        raise Invalid(f"{quoted(text)} does not name Sentinels", f"write host:{SENTINEL_PORT},host:{SENTINEL_PORT}")
    return found


_password = Kind("PASSWORD", _read_password)
_user = Kind("NAME", _read_password)

REDIS_VARIABLES: Mapping[str, tuple[Kind, str]] = {
    "REDIS_HOST": (places.host, "The host of the registry's URL; makes the registry a redis:// one if it is not."),
    "REDIS_PORT": (places.port, "The port of the registry's URL."),
    "REDIS_USERNAME": (_user, "The user (ACL) of the registry's URL, not percent-encoded."),
    "REDIS_PASSWORD": (_password, "The password of the registry's URL, not percent-encoded."),
    "REDIS_DB": (kinds.whole(0, 99999), "The number of the database in the registry's URL."),
    "REDIS_TLS_ENABLED": (kinds.switch(), "yes: rediss:// (TLS); no: redis://."),
    "REDIS_SENTINELS": (
        Kind("HOST[:PORT],HOST[:PORT]", _read_sentinels, many=True),
        "The Sentinels of the registry's URL; with REDIS_SENTINEL_MASTER they make it a redis+sentinel:// one.",
    ),
    "REDIS_SENTINEL_MASTER": (
        kinds.word("NAME", r"[A-Za-z0-9._-]{1,128}", "write what the Sentinels call the master, like mymaster"),
        "What the Sentinels call the master.",
    ),
    "REDIS_SENTINEL_USERNAME": (_user, "The user (ACL) of the Sentinels themselves, not percent-encoded."),
    "REDIS_SENTINEL_PASSWORD": (_password, "The password of the Sentinels themselves, not percent-encoded."),
}
_ONE_SERVER = ("REDIS_HOST", "REDIS_PORT")
_EXACT = ("REDIS_PASSWORD", "REDIS_SENTINEL_PASSWORD")


def apply(draft: Draft, environ: Mapping[str, str]) -> None:
    """Put what the environment says over what the file says."""
    for variable in VARIABLES:
        if text := environ.get(variable.name, "").strip():
            _apply(draft, variable, text)
    found = {name: environ[name] for name in REDIS_VARIABLES if environ.get(name, "").strip()}
    if found:
        _apply_redis(draft, found)


def _apply(draft: Draft, variable: Variable, text: str) -> None:
    kind = kind_for(SECTIONS[variable.section].options[variable.option], draft.strategies)
    bare = variable.milliseconds and units.is_bare(text)
    text += "ms" if bare else ""
    try:
        value = kind.read(text)
    except Invalid as error:
        hint = f"{error.hint}; a bare number counts milliseconds here" if bare else error.hint
        draft.variable_problem(variable.name, error.message, hint)
        return
    origin = Origin(variable=variable.name)
    names = [f"service:{name}" for name in draft.services] if variable.section == "service" else [variable.section]
    for section in names:
        said = draft.given(section, variable.option) or not draft.sound(section, variable.option)
        if not (variable.weak and said):
            draft.put(section, variable.option, value, origin)


def _apply_redis(draft: Draft, found: dict[str, str]) -> None:
    url: str = draft.value("registry", "url")
    mine = url.startswith("redis")
    by_sentinel = "REDIS_SENTINELS" in found or "+sentinel:" in url
    if (not mine or by_sentinel) and "REDIS_HOST" not in found and found.get("REDIS_PORT", "").startswith("tcp://"):
        # Kubernetes tells every container of a Service named redis this way: nobody meant us.
        del found["REDIS_PORT"]
    values: dict[str, Any] = {}
    for name, text in found.items():
        try:
            # A password may begin or end with a space.
            values[name] = REDIS_VARIABLES[name][0].read(text if name in _EXACT else text.strip())
        except Invalid as error:
            hint = error.hint
            if text.startswith("tcp://"):
                hint += "; Kubernetes sets this variable for a Service named redis, unless enableServiceLinks is false"
            draft.variable_problem(name, error.message, hint)
    origin = Origin(variable=", ".join(found))
    wanted = mine or "REDIS_HOST" in found or "REDIS_SENTINELS" in found
    at_odds = wanted and len(values) == len(found) and _at_odds(draft, found, by_sentinel, "+sentinel:" in url)
    if len(values) < len(found) or at_odds:
        draft.spoil("registry", "url", origin)
    elif wanted and found:
        draft.put("registry", "url", _merge(url if mine else "redis://localhost", values).url, origin)
    elif found and draft.sound("registry", "url"):
        unset = "neither REDIS_HOST nor REDIS_SENTINELS is set"
        draft.notes.append(f"{origin}: ignored, because the registry is {url} and {unset}")


def _at_odds(draft: Draft, found: Mapping[str, str], by_sentinel: bool, in_file: bool) -> bool:
    """Variables that cannot be meant together, or not with this URL, are problems."""
    wrong = []
    for name in found:
        if by_sentinel and name in _ONE_SERVER:
            hint = "unset it, or name the Sentinels in REDIS_SENTINELS"
            wrong.append((name, "names one server, but the registry is found by Sentinels", hint))
        elif not by_sentinel and name.startswith("REDIS_SENTINEL_"):
            wrong.append((name, "there are no Sentinels", "name them in REDIS_SENTINELS, or unset it"))
    if by_sentinel and not in_file and "REDIS_SENTINEL_MASTER" not in found:
        hint = "set REDIS_SENTINEL_MASTER to what they call it, like mymaster"
        wrong.append(("REDIS_SENTINELS", "the Sentinels need to know which master is meant", hint))
    for problem in wrong:
        draft.variable_problem(*problem)
    return bool(wrong)


def _merge(url: str, values: Mapping[str, Any]) -> Target:
    """The target of a good URL with the parts that the environment names replaced."""
    target = parse_target(url)
    tls = values.get("REDIS_TLS_ENABLED", target.tls)
    sentinels = target.sentinels
    if "REDIS_SENTINELS" in values and sentinels is None:
        sentinels = Sentinels((), "", tls=tls)
    if sentinels is not None:
        sentinels = Sentinels(
            values.get("REDIS_SENTINELS", sentinels.places),
            values.get("REDIS_SENTINEL_MASTER", sentinels.master),
            # Sentinels follow the switch, unless the URL had left them in the clear.
            tls and (sentinels.tls or not target.tls),
            values.get("REDIS_SENTINEL_USERNAME", sentinels.user),
            values.get("REDIS_SENTINEL_PASSWORD", sentinels.password),
        )
    return Target(
        host="" if sentinels else values.get("REDIS_HOST", target.host),
        port=values.get("REDIS_PORT", target.port),
        tls=tls,
        ca=target.ca if tls else "",
        cert=target.cert if tls else "",
        key=target.key if tls else "",
        user=values.get("REDIS_USERNAME", target.user),
        password=values.get("REDIS_PASSWORD", target.password),
        db=values.get("REDIS_DB", target.db),
        sentinels=sentinels,
    )
