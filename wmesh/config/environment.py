"""The environment variables that override the file.

Strategy: one table says what each variable stands for; the values are read by the kinds of the schema, so that file and
environment accept the same spellings. An empty variable counts as not set, as container tools leave them. The REDIS_*
variables each replace one part of the registry's URL; REDIS_HOST alone turns a mesh without a redis registry into one
with it, because a stray REDIS_PORT or REDIS_PASSWORD must not. Variables that wmesh does not know are none of its
business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from wmesh.config import kinds, places, units
from wmesh.config.draft import Draft, Origin
from wmesh.config.kinds import Kind
from wmesh.config.schema import SECTIONS, kind_for
from wmesh.config.wording import Invalid


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
        raise Invalid("the password has characters that cannot be sent", "use another") from None
    return text


REDIS_VARIABLES: Mapping[str, tuple[Kind, str]] = {
    "REDIS_HOST": (places.host, "The host of the registry's URL; makes the registry a redis:// one if it is not."),
    "REDIS_PORT": (places.port, "The port of the registry's URL."),
    "REDIS_PASSWORD": (Kind("PASSWORD", _read_password), "The password of the registry's URL, not percent-encoded."),
    "REDIS_DB": (kinds.whole(0, 99999), "The number of the database in the registry's URL."),
    "REDIS_TLS_ENABLED": (kinds.switch(), "yes: rediss:// (TLS); no: redis://."),
}


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
    if not url.startswith("redis") and "REDIS_HOST" not in found and found.get("REDIS_PORT", "").startswith("tcp://"):
        # Kubernetes tells every container of a Service named redis this way: nobody meant us.
        del found["REDIS_PORT"]
    values: dict[str, Any] = {}
    for name, text in found.items():
        try:
            # A password may begin or end with a space.
            values[name] = REDIS_VARIABLES[name][0].read(text if name == "REDIS_PASSWORD" else text.strip())
        except Invalid as error:
            hint = error.hint
            if text.startswith("tcp://"):
                hint += "; Kubernetes sets this variable for a Service named redis, unless enableServiceLinks is false"
            draft.variable_problem(name, error.message, hint)
    origin = Origin(variable=", ".join(found))
    if len(values) < len(found):
        draft.spoil("registry", "url", origin)
    elif url.startswith("redis") or "REDIS_HOST" in values:
        draft.put("registry", "url", _merge(url, values), origin)
    elif found and draft.sound("registry", "url"):
        draft.notes.append(f"{origin}: ignored, because the registry is {url} and REDIS_HOST is not set")


def _merge(url: str, values: Mapping[str, Any]) -> str:
    """The URL with the parts that the environment names replaced."""
    parts = places.split_redis(url if url.startswith("redis") else "redis://localhost")
    return places.redis_url(
        tls=values.get("REDIS_TLS_ENABLED", parts.scheme == "rediss"),
        user=unquote(parts.username or "", errors="surrogateescape"),
        password=values.get("REDIS_PASSWORD", unquote(parts.password or "", errors="surrogateescape")),
        host=values.get("REDIS_HOST", parts.hostname or "localhost"),
        port=values.get("REDIS_PORT", parts.port or places.REDIS_PORT),
        database=values.get("REDIS_DB", int(parts.path[1:] or 0)),
    )
