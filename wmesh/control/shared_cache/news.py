"""What gateways tell each other of their caches: a stream in which each invalidation has its place.

Strategy: the reader remembers the place of the last one that it heard. After an outage it asks for that very one: if
it is still there, all that was missed stands behind it, and is heard now. If it is not (the server was emptied, or too
much happened), the gap is told as a loss. What is said here stays *pending* until it comes back by the stream: so what
was said while the server was away is said when it is there again, and who looks for something meanwhile can be kept
from finding what is about to go. Saying something twice does no harm.

Deleting what is meant is this side's work, too: one page with the news itself, whatever needs a search behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.registry.link import Link
from wmesh.control.shared_cache.scripts import TAGGED, TELL
from wmesh.errors import RegistryError
from wmesh.policy.caching.second_level import ALL, KEY, KINDS, TAG, FirstLevel, Invalidation

BLOCK = 2.0
AGAIN = 0.25
"""Seconds between two attempts to be in touch."""

STREAM_LENGTH = 10000
MOST_PENDING = 1000
REMEMBERED = 200
PORTION = 500

Place = tuple[int, int]


class News:
    """`in_touch`: everything that was said until now is heard. `position` is the place of the last one.

    `bad` counts what could not be read.
    """

    _log = Logger()

    def __init__(
        self, listening: Link, speaking: Link, prefix: bytes, name: bytes, clock: IReactorTime, label: str
    ) -> None:
        """`prefix` is that of all keys; `name` tells this gateway from all others."""
        self._listening = listening
        self._speaking = speaking
        self._prefix = prefix
        self.stream = prefix + b"news"
        self._name = name
        self._clock = clock
        self._label = label
        self._first: FirstLevel | None = None
        self._running: Deferred[None] | None = None
        self._away = False
        self._number = 0
        self._pending: dict[int, Invalidation] = {}
        # Whatever needs a search may still be found for a while: what was written before it does not count.
        self._recent: deque[tuple[Place, Invalidation]] = deque(maxlen=REMEMBERED)
        self.in_touch = False
        self.position = b""
        self.problem = ""
        self.bad = 0

    def start(self, first: FirstLevel) -> None:
        self._first = first
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(_stopped)

    def stop(self) -> None:
        self.in_touch = False
        self._first = None
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    # --- saying

    def say(self, what: Invalidation) -> None:
        """Have it forgotten there, and by all others."""
        if len(self._pending) >= MOST_PENDING:
            # Nobody listens, and too much was said: then all is meant that it was about.
            services = {one.service for one in (*self._pending.values(), what)}
            self._pending = {self._next(): Invalidation(service, ALL) for service in sorted(services)}
            self._lost(self.problem or "there is more to say than it takes in")
            return
        number = self._next()
        self._pending[number] = what
        if self.in_touch:
            Deferred.fromCoroutine(self._say(number, what)).addErrback(self._unsaid, what)

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _say(self, number: int, what: Invalidation) -> None:
        said = (b"service", what.service, b"how", what.how, b"what", what.what)
        keys = [self.stream, *([self.page(what.what)] if what.how == KEY else [])]
        await self._speaking.run(TELL, keys, STREAM_LENGTH, b"from", self._name, b"number", number, *said)
        if what.how != KEY:
            await self._search(what)

    async def _search(self, what: Invalidation) -> None:
        """Delete the pages that are meant."""
        # Neither namespaces nor names of services have letters that mean something in a pattern.
        pattern = self.page(what.service) + b"*"
        cursor = b"0"
        while True:
            cursor, found = await self._speaking.command(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", PORTION)
            meant = [page for page in found if what.means(page[len(self.page(b"")) :])]
            if meant and what.how == TAG:
                await self._speaking.run(TAGGED, meant, what.what)
            elif meant:
                await self._speaking.command(b"DEL", *meant)
            if cursor == b"0":
                return

    def _unsaid(self, failure: Failure, what: Invalidation) -> None:
        """It is said again when we are in touch again, also if it was told and only the search broke off."""
        if isinstance(failure.value, RegistryError):
            self._pending[self._next()] = what
            self._lost(failure.getErrorMessage())
        elif not isinstance(failure.value, CancelledError):
            self._log.failure("An invalidation could not be told to the shared cache", failure)

    # --- what it means

    def page(self, key: bytes) -> bytes:
        return self._prefix + b"page:" + key

    def about_to_go(self, key: bytes) -> bool:
        """Did this gateway say so of such a key, and the server not know it yet, perhaps?"""
        return any(what.means(key) for what in self._pending.values())

    def gone(self, key: bytes, tags: tuple[bytes, ...], written: bytes) -> bool:
        """Is what was written when the last of the news was `written` meant by one that came later?"""
        place = _place(written)
        return any(place < later and what.means(key, tags) for later, what in self._recent)

    # --- hearing

    async def _run(self) -> None:
        while self._first is not None:
            try:
                if not self.in_touch:
                    await self._catch_up()
                await self._hear(BLOCK)
            except RegistryError as error:
                self._lost(str(error))
                await deferLater(self._clock, AGAIN)
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001 - an error of our own must not end this for good
                self._log.failure("The news of the shared cache could not be read")
                self.in_touch = False
                await deferLater(self._clock, AGAIN)

    async def _catch_up(self) -> None:
        link = self._listening
        if self.position and not await link.command(b"XRANGE", self.stream, self.position, self.position):
            self.position = b""
        if not self.position:
            # A place of our own to begin at, which can be asked for later.
            await link.command(
                b"XADD", self.stream, b"MAXLEN", b"~", STREAM_LENGTH, b"*", b"from", self._name, b"how", b"start"
            )
            latest = await link.command(b"XREVRANGE", self.stream, b"+", b"-", b"COUNT", REMEMBERED)
            self._recent.clear()
            for place, flat in reversed(latest):
                self._remember(place, self._read(flat))
            self.position = latest[0][0]
            if self._first is not None:
                self._first.lost_touch()
        for number, what in list(self._pending.items()):
            await self._say(number, what)
        while await self._hear(0.0):
            pass
        self.in_touch = True
        self.problem = ""
        if self._away:
            self._away = False
            self._log.info("The shared cache at {url} answers again", url=self._label)

    async def _hear(self, block: float) -> bool:
        """Hear what is new; waits for it for so many seconds."""
        waiting = (b"BLOCK", int(block * 1000)) if block else ()
        reply = await self._listening.command(
            b"XREAD", b"COUNT", PORTION, *waiting, b"STREAMS", self.stream, self.position, patience=block
        )
        for place, flat in reply[0][1] if reply else ():
            self._heard(place, flat)
        return bool(reply)

    def _heard(self, place: bytes, flat: Sequence[bytes]) -> None:
        self.position = place
        fields = dict(zip(flat[::2], flat[1::2], strict=False))
        what = self._read(flat)
        self._remember(place, what)
        if fields.get(b"from") == self._name:
            number = fields.get(b"number", b"")
            self._pending.pop(int(number) if number.isdigit() else 0, None)
        elif what is not None and self._first is not None:
            self._first.invalidated(what)

    def _read(self, flat: Sequence[bytes]) -> Invalidation | None:
        fields = dict(zip(flat[::2], flat[1::2], strict=False))
        how = fields.get(b"how", b"")
        if how in KINDS and fields.get(b"service") and (fields.get(b"what") or how == ALL):
            return Invalidation(fields[b"service"], how, fields.get(b"what", b""))
        if how != b"start":
            self.bad += 1
        return None

    def _remember(self, place: bytes, what: Invalidation | None) -> None:
        if what is not None and what.how != KEY:
            self._recent.append((_place(place), what))

    def out_of_touch(self, why: str) -> None:
        """Somebody else found out that it is so: begin again."""
        self._lost(why)

    def _lost(self, why: str) -> None:
        self.in_touch = False
        self.problem = why
        if not self._away and self._first is not None:
            self._away = True
            self._log.warn("The shared cache is left alone for now: {why}", why=why)


def _place(text: bytes) -> Place:
    """Places in a stream are "milliseconds-number"."""
    first, _, second = text.partition(b"-")
    return (int(first), int(second)) if first.isdigit() and second.isdigit() else (0, 0)


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
