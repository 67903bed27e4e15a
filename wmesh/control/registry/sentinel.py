"""Finds the master where Sentinels know it: `redis+sentinel://`. And notices when it is another one.

Strategy: a Sentinel is believed only as far as it can be checked. Before each connection the Sentinels are asked in
turn, the one that was right last goes first; whom it names is connected to, and must say itself (ROLE) that it is a
master, for a Sentinel that was cut off goes on naming one that was demoted. Sentinels number their decisions (the
*epoch*): an answer older than what was heard before is only used if no Sentinel knows a newer one.

A master that lost its right tells its clients (READONLY, UNBLOCKED, or the connection ends), and one that hangs is
given up when it does not answer; both lead back to `open`. One case is left: a master that is cut off from the
Sentinels, but not from us, takes our commands for ever although another one was appointed. So, as long as there are
connections, one Sentinel is asked every `LOOK` seconds, each time the next one. If it names another master than the one
we are at, by a newer decision or confirmed by asking as before, we leave. All connections of one `Lookout` move
together: who finds another master sends the others there.

txredisapi's own support for Sentinel is not used: it speaks no TLS to the servers that it finds, and takes a refused
login for a good one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.registry.dial import Connection, abort, ask, dial
from wmesh.control.registry.tls import check_files
from wmesh.errors import RegistryError
from wmesh.registry_url import Place, Target, show_place

LOOK = 10.0
"""Seconds (more or less) between two looks at whether the Sentinels still name the master that we are at."""

LONGEST_ASK = 1.0
"""Seconds at most that one Sentinel may take to connect, log in, or answer, before the next one is asked."""


@dataclass(frozen=True, slots=True)
class _Word:
    """What one Sentinel said."""

    sentinel: Place
    master: Place
    epoch: int


class Lookout:
    """The way to the master of a target that has Sentinels; `place` is where it was found last.

    `timeout` (seconds) bounds each step of a connection to the master.
    """

    _log = Logger()

    def __init__(self, target: Target, reactor: Any, *, timeout: float, rng: random.Random) -> None:
        assert target.sentinels is not None
        self._target = target
        self._name = target.sentinels.master
        self._all = tuple(dict.fromkeys(target.sentinels.places))
        self._order = list(self._all)
        self._next_look = 0
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._timeout = timeout
        self._ask_timeout = min(timeout, LONGEST_ASK)
        self._rng = rng
        self._epoch = 0
        self._guests: dict[Connection, tuple[Place, Callable[[str], None]]] = {}
        self._due: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self.place: Place | None = None

    def check(self) -> None:
        """Fails with RegistryError if the target makes no sense, as far as that can be seen here."""
        check_files(self._target)

    async def open(self, hang_up: Callable[[str], None]) -> Connection:
        """A connection to the master, logged in. `hang_up` is called, with the reason, when the master is another one.

        Fails with RegistryError, which says what each Sentinel said, or what is wrong with whom they named.
        """
        word = await self._find()
        try:
            connection = await self._enter(word.master)
        except RegistryError as error:
            # Perhaps another Sentinel knows better.
            self._order.remove(word.sentinel)
            self._order.append(word.sentinel)
            said = f"the Sentinel {show_place(word.sentinel)} says that {self._name} is at {show_place(word.master)}"
            raise RegistryError(f"{said}: {error}") from error
        if self.place not in (None, word.master):
            self._log.info("The master of {name} is now {place}", name=self._name, place=show_place(word.master))
        self.place = word.master
        self._guests[connection] = (word.master, hang_up)
        connection.whenDisconnected().addCallback(self._left)
        self._send_on(word.master)
        self._plan()
        return connection

    def close(self) -> None:
        """Look no more. Connections live on."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()

    async def _enter(self, place: Place) -> Connection:
        target = self._target.master_at(place)
        connection = await dial(target, self._reactor, self._timeout)
        try:
            role = await ask(connection, target, self._reactor, self._timeout, b"ROLE")
            role = role[0] if isinstance(role, list) and role else role
            if role != b"master":
                said = role.decode(errors="replace") if isinstance(role, bytes) else "stranger"
                raise RegistryError(f"it says that it is no master but a {said}")
        except BaseException:
            abort(connection)
            raise
        return connection

    async def _find(self) -> _Word:
        best: _Word | None = None
        problems = []
        for place in tuple(self._order):
            try:
                word = await self._ask(place)
            except RegistryError as error:
                problems.append(f"{show_place(place)}: {error}")
                continue
            if best is None or word.epoch > best.epoch:
                best = word
            if word.epoch >= self._epoch:
                break
        if best is None:
            raise RegistryError(f"no Sentinel tells where {self._name} is; {'; '.join(problems)}")
        self._believe(best)
        return best

    def _believe(self, word: _Word) -> None:
        self._epoch = word.epoch
        self._order.remove(word.sentinel)
        self._order.insert(0, word.sentinel)

    async def _ask(self, place: Place) -> _Word:
        target = self._target.sentinel_at(place)
        try:
            connection = await dial(target, self._reactor, self._ask_timeout)
            try:
                name = self._name.encode()
                address = await self._command(connection, target, b"GET-MASTER-ADDR-BY-NAME", name)
                if address is None:
                    raise RegistryError(f"it knows no master of the name {self._name}")
                flat = await self._command(connection, target, b"MASTER", name)
            finally:
                abort(connection)
        except RegistryError as error:
            refused = any(word in str(error) for word in ("NOAUTH", "WRONGPASS", "could not auth"))
            hint = "; sentinel_user and sentinel_password are the login of the Sentinels" if refused else ""
            raise RegistryError(f"{error}{hint}") from error
        try:
            facts = dict(zip(flat[::2], flat[1::2], strict=True))
            port = int(address[1])
            if not 0 < port < 65536:
                raise ValueError
            return _Word(place, (address[0].decode(), port), int(facts[b"config-epoch"]))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise RegistryError("what it answers makes no sense; is it a Sentinel?") from None

    async def _command(self, connection: Connection, target: Target, *args: bytes) -> Any:
        return await ask(connection, target, self._reactor, self._ask_timeout, b"SENTINEL", *args)

    def _left(self, connection: Connection) -> None:
        self._guests.pop(connection, None)
        if not self._guests:
            self.close()

    def _send_on(self, master: Place) -> None:
        """Whoever is elsewhere leaves."""
        for place, hang_up in list(self._guests.values()):
            if place != master:
                hang_up(f"the master is now {show_place(master)}")

    def _plan(self) -> None:
        if self._due is None and self._looking is None and self._guests:
            self._due = self._clock.callLater(LOOK * self._rng.uniform(0.8, 1.2), self._look)

    def _look(self) -> None:
        self._due = None
        looking = self._looking = Deferred.fromCoroutine(self._compare())
        looking.addErrback(self._unseen)
        looking.addCallback(self._looked)

    def _looked(self, _: None) -> None:
        if self._looking is not None:
            self._looking = None
            self._plan()

    async def _compare(self) -> None:
        self._next_look = (self._next_look + 1) % len(self._all)
        word = await self._ask(self._all[self._next_look])
        if all(place == word.master for place, _ in self._guests.values()):
            return
        if word.epoch > self._epoch:
            self._believe(word)
        else:
            word = await self._find()
        self._send_on(word.master)

    def _unseen(self, failure: Failure) -> None:
        """A look that failed proves nothing; the next asks another Sentinel."""
        if not isinstance(failure.value, (CancelledError, RegistryError)):
            self._log.failure("The Sentinels could not be asked", failure)
