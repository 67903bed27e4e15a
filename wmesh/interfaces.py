"""Plug points: what a part may be replaced by. Each has one to a handful of methods, and says what it promises.

`Awaitable` stands for Twisted's Deferred, which is one; this module itself imports no Twisted, so that pure packages
may name these types.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from wmesh.events import Event
from wmesh.model import Address, CheckResult, CheckSpec, InstanceRecord, LoadSample, ServiceSpec, Will

if TYPE_CHECKING:
    from wmesh.cluster.member import Member

class Unset(enum.Enum):
    """Nothing was said; None would say something."""

    UNSET = 0


UNSET = Unset.UNSET

EventSink = Callable[[Event], None]
"""Takes one event, at once, and never raises."""


class Strategy(Protocol):
    """Chooses one of the members that may take a request now. One object per cluster; it may keep state."""

    def rebuild(self, members: Sequence[Member]) -> None:
        """The set of available members, or a weight, changed. Called rarely; `pick` is called per request."""

    def pick(self, key: bytes, tried: Sequence[Member], now: float) -> Member | None:
        """One of the members last given to `rebuild`, not in `tried`; None when none is left.

        `key` is what hashing strategies hash (the client's address, a header); others ignore it. `now` is monotonic
        seconds, for strategies whose measurements fade with time.
        """

    def scores(self, key: bytes, now: float) -> Sequence[tuple[Member, float, str]]:
        """Every member last given to `rebuild`, with its score for such a request at `now` and what that is made of.

        For people who ask why: cold, and without an effect on later picks. The class says which scores win; the words
        are short ("3 in flight / share 2").
        """


class Registry(Protocol):
    """The shared store of leases. Every method may fail with `RegistryError`; none waits for ever."""

    def start(self, sink: EventSink) -> Awaitable[None]:
        """Connect and watch. An `InstancesReset` reaches `sink` before this finishes, then changes in order.

        What operators said (`WillsTold`), if anything, comes before it: who is drained must not be met as a new one.
        """

    def stop(self) -> Awaitable[None]:
        """Stop watching and close. Registrations stay until their leases expire."""

    def register(self, record: InstanceRecord) -> Awaitable[None]:
        """Put a record in, with a fresh lease. Registering the same record again only renews it."""

    def deregister(self, service: str, id: str) -> Awaitable[None]:
        """Take a record out, at once. Unknown ids are no error.

        What was registered through this object is taken out only if it still stands there: under the same id somebody
        else may have registered since. What was not, whoever registered it.
        """

    def renew(self, beats: Mapping[tuple[str, str], LoadSample]) -> Awaitable[Sequence[tuple[str, str]]]:
        """Renew leases by (service, id), with what each uses now. Answers those the registry does not know."""

    def direct(self, wills: Sequence[Will], now: int) -> Awaitable[None]:
        """Put in what operators said, for all who watch; of two that contradict each other, what was said later stands.

        What was to be remembered only until before `now` (milliseconds since 1970) is forgotten.
        """

    def status(self) -> Mapping[str, Any]:
        """For people and the admin API: kind, connected, age of the last word from the store in seconds."""


class Probe(Protocol):
    """One active check of one instance."""

    def __call__(self, record: InstanceRecord, spec: CheckSpec) -> Awaitable[CheckResult]:
        """Check once, within `spec.timeout`. Never fails: what goes wrong is the result.

        Who answers at `record.address` need not be who registered there: a probe that can tell compares the two, and
        gives a mismatch as `proof`.
        """


class Launched(Protocol):
    """One running process, container or unit that a launcher started."""

    id: str
    address: Address

    def stop(self, timeout: float) -> Awaitable[None]:
        """Ask it to end, insist after `timeout` seconds; done when it has ended."""

    def load(self) -> LoadSample:
        """What it uses now."""

    def describe(self) -> Mapping[str, Any]:
        """For people and the admin API (pid, start time)."""


class Launcher(Protocol):
    """Starts instances."""

    def launch(self, spec: ServiceSpec, record: InstanceRecord, exited: Callable[[str], None]) -> Awaitable[Launched]:
        """Start one instance listening at `record.address`; `record` is what it will be registered as, and it is told
        its id and incarnation. `exited(reason)` is called once if it ends without `stop`.

        Fails with `LaunchError` if it cannot be started at all. That it runs does not mean that it is healthy.
        """


class Registrations(Protocol):
    """What the admin side may ask of the registry, for programs that register over HTTP; plain JSON values.

    Where a request makes no sense these fail with `ControlError` (404 not registered, 409 not theirs, 422 a field of
    the document is wrong, which the text names). Where the registry does not answer, `deregister` fails with
    `RegistryError`; `register` promises to go on trying.
    """

    def registrations(self) -> Mapping[str, Any]:
        """`registry` (its status) and `services`: by name, the records that stand in it and what is known of each."""

    def register(self, service: str, id: str, document: Mapping[str, Any]) -> Awaitable[tuple[Mapping[str, Any], bool]]:
        """Register, and answer for it during `ttl` seconds. Gives what stands there now, and whether it is new."""

    def deregister(self, service: str, id: str) -> Awaitable[Mapping[str, Any]]:
        """Take it out at once."""

    def beat(self, service: str, id: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """It lives: its ttl begins anew. The document may say what it uses (`cpu`, `memory`)."""


class Caching(Protocol):
    """The caches of all services, as far as the control plane has to do with them."""

    def describe(self) -> Mapping[str, Any]:
        """What they hold, and what they were good for, as plain JSON values."""

    def purge(self, service: str, *, url: str, prefix: str, tag: str) -> int:
        """See `Controls.purge`; answers how many went. Fails with `ControlError`: 409 it has no cache, 422 no URL."""


class Controls(Protocol):
    """What the admin side may ask: all that it shows, as plain JSON values, and the few things that it may do.

    Those that name a service, an instance or a request fail with `ControlError` where what is asked makes no sense
    (404: no such service); its text is for people. Nothing else here fails, and nothing here ever answers a password.
    """

    def health(self) -> Mapping[str, Any]:
        """The shortest answer: `status`, `serving` (may clients be sent here?), `services` (status by name)."""

    def status(self) -> Mapping[str, Any]:
        """What this process is and how it is set up: version, uptime, registry, listeners, deployment, notes."""

    def stats(self) -> Mapping[str, Any]:
        """What was counted and measured: `discovery`, `load_balancer`, `proxy`, and `services` as in `service`."""

    def services(self) -> Mapping[str, Mapping[str, Any]]:
        """The report of every declared service by name, in the order of the configuration."""

    def service(self, name: str) -> Mapping[str, Any]:
        """The report of one service with its instances; `wmesh.cluster.report.service_report` gives the shape."""

    def service_health(self, name: str) -> Mapping[str, Any]:
        """The status of one service and the verdict on each instance, with every reason against it."""

    def scale(self, service: str, instances: int) -> Awaitable[Mapping[str, Any]]:
        """Run this many instances of a service; answers `service`, `before` and `target` as soon as it is begun."""

    def direct(
        self, service: str, id: str, state: str | None, weight: int | Unset | None, by: str
    ) -> Awaitable[Mapping[str, Any]]:
        """The operator's will for one instance: its admin state, its weight (None: what it registered with), or both.

        It holds here at once, `by` says for people whose it is. Answers the report of the instance as it is then, with
        `written` (whether the registry knows) and `problem` (why not).
        """

    def purge(self, service: str, url: str, prefix: str, tag: str) -> Mapping[str, Any]:
        """Throw away what is kept of a service: one URL, all that begin with a prefix, all with a tag, or, if all
        three are empty, everything. URLs are paths ("/list", of any host) or absolute. Answers `service` and `purged`.
        """

    def explain(
        self, service: str, method: str, path: str, host: str, client: str, fields: Sequence[tuple[str, str]]
    ) -> Mapping[str, Any]:
        """What would be picked now, and why: for a service, or, if that is empty, for a request."""

    def decision(self, request_id: str) -> Mapping[str, Any]:
        """What became of a request, and why."""

    def decisions(self, count: int) -> Sequence[Mapping[str, Any]]:
        """The last requests, the newest first."""
