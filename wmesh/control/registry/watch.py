"""Follows the changes of one namespace, without ever missing one unnoticed.

Strategy: a snapshot gives the records, their version, and the place in the stream where changes go on; from there the
stream is read on a connection of its own, blocking, so that a change arrives as soon as it is made. Every entry carries
the version that it made, and versions grow by one: an entry that does not follow what we have proves a gap (the stream
was trimmed while we were away, the server emptied, replaced or put back in time), and so does a new connection. After a
gap comes a snapshot, told to the sink as one `InstancesReset`; the Directory takes the difference. A snapshot of
thousands is read in portions, between which clients have their turn, and what stands there as before is not read
again: most gaps missed little. When nothing happens for `discovery_interval`, the snapshot script is asked whether our
version and number of records are still right; it sends records only if they are not.

                connected          entries that follow
      [ away ] ----------> [ snapshot ] -----------> [ following ] --+ entries: events to the sink
         ^                     ^   ^                     |   |   ^---+ silence: "am I right?" -> yes
         |                     |   +---- gap, or "no" ---+   |
         +---- lost -----------+------------- lost ----------+

While away, nothing is told: what was known stays known. Records that cannot be believed are passed over, with one
warning each until they are right or gone, and never stop the others; so are entries of the stream that no script of
ours wrote. An entry that looks right but repeats a version is a gap like any other: one of the two was a lie.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from wmesh.control.registry.changes import ORIGIN, put_events
from wmesh.control.registry.codec import decode_reason, decode_record, member_name, shown
from wmesh.control.registry.link import Link
from wmesh.control.registry.scripts import SNAPSHOT
from wmesh.control.registry.will_codec import decode_will
from wmesh.errors import RecordError, RegistryError
from wmesh.events import Event, InstanceRemoved, InstancesReset, WillsTold
from wmesh.interfaces import EventSink
from wmesh.model import InstanceRecord, Will

BATCH = 500
PORTION = 200
"""So many records of a snapshot are read before others have their turn: two or three milliseconds."""

LONGEST_BLOCK = 5.0
PAUSE = 0.1
MAX_WARNED = 1000
WILL = " (will)"

_VERSION = re.compile(rb"[0-9]{1,19}")
_DETAILS = {b"put": b"record", b"gone": b"reason", b"will": b"will"}
_STRANGE = "it was written by hand; should be kind, service, id, one of record, reason and will, and version"


class Watch:
    """Reads namespace `keys` through `link` and tells `sink`.

    `prepare` is awaited before each snapshot that follows a gap: there the owner puts his own registrations back first,
    so that the snapshot holds them and the sink never sees them vanish. `ready` fires after the first snapshot.
    `resets` counts snapshots that were told, `problem` says why the watch is out of touch.
    """

    _log = Logger()

    def __init__(
        self,
        link: Link,
        keys: Sequence[bytes],
        sink: EventSink,
        prepare: Callable[[], Awaitable[None]],
        *,
        clock: IReactorTime,
        interval: float,
        now: Callable[[], float],
    ) -> None:
        self._link = link
        self._keys = keys
        self._changes = keys[3]
        self._sink = sink
        self._prepare = prepare
        self._clock = clock
        self._interval = interval
        self._block = min(interval, LONGEST_BLOCK)
        self._now = now
        self._position = b"0-0"
        self._proven = now()
        self._generation = 0
        # What could not be believed; and of these (and of the stream), what was warned of.
        self._unreadable: set[str] = set()
        self._warned: set[str] = set()
        self._in_touch: bool | None = None
        self._wanted = False
        self._running: Deferred[None] | None = None
        self.ready: Deferred[None] = Deferred()
        self.known: dict[str, InstanceRecord] = {}
        # What each of those was read from.
        self._data: dict[str, bytes] = {}
        # All wills that stand there, readable or not.
        self._wills: set[str] = set()
        self.version = 0
        self.resets = 0
        self.problem = ""

    @property
    def in_touch(self) -> bool:
        """Whether `known` is what the registry holds, as far as one can tell."""
        return bool(self._in_touch) and self._link.connected

    def start(self) -> None:
        self._wanted = True
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(_stopped)

    def stop(self) -> None:
        # A sink may stop us from within; then there is nothing to cancel, and the loop must see it for itself.
        self._wanted = False
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _run(self) -> None:
        while self._wanted:
            following = Deferred.fromCoroutine(self._follow())
            following.addErrback(self._stumbled)
            await following
            if self._wanted:
                await deferLater(self._clock, PAUSE)

    async def _follow(self) -> None:
        """From a gap on, until something fails."""
        while self._wanted:
            await self._resync()
            while self._wanted and await self._read():
                pass

    async def _resync(self) -> None:
        await self._prepare()
        self._generation = await self._snapshot(b"", b"", b"")

    async def _read(self) -> bool:
        """Wait for changes and tell them; or, after long silence, make sure. False if there is a gap."""
        block = int(self._block * 1000)
        reply = await self._link.command(
            b"XREAD", b"COUNT", BATCH, b"BLOCK", block, b"STREAMS", self._changes, self._position, patience=self._block
        )
        if self._link.generation != self._generation:
            return False
        if reply is not None:
            return all(self._apply(position, flat) for position, flat in reply[0][1])
        if self._now() - self._proven >= self._interval:
            numbers = (self.version, len(self.known) + len(self._unreadable), len(self._wills))
            await self._snapshot(*(str(number).encode() for number in numbers))
        return True

    async def _snapshot(self, version: bytes, count: bytes, wills: bytes) -> int:
        """Take the whole truth, unless `version` and the counts are it already. Answers which connection it came by."""
        reply = await self._link.run(SNAPSHOT, self._keys, version, count, wills)
        generation = self._link.generation
        if len(reply) > 2:
            await self._take(reply[2])
            self.version = int(reply[0])
            self._take_wills(reply[3])
            self._warned &= {"", *self._unreadable, *map(_will_of, self._wills)}
            self.resets += 1
            self._sink(InstancesReset(ORIGIN, tuple(self.known.values())))
        self._position = reply[1]
        self._proven = self._now()
        if not self._in_touch:
            if self._in_touch is False:
                self._log.info("The registry answers again, with {count} instances", count=len(self.known))
            self._in_touch = True
            self.problem = ""
        if not self.ready.called:
            self.ready.callback(None)
        return generation

    async def _take(self, flat: Sequence[bytes]) -> None:
        """Make a snapshot's members and records what is known, all at once in the end."""
        known: dict[str, InstanceRecord] = {}
        unreadable: set[str] = set()
        texts: dict[str, bytes] = {}
        for start in range(0, len(flat), 2 * PORTION):
            if start:
                await deferLater(self._clock, 0.0)
            for key, data in _pairs(flat[start : start + 2 * PORTION]):
                member = _text(key)
                record = self._decode(member, data)
                if record is None:
                    unreadable.add(member)
                else:
                    known[member] = record
                    texts[member] = data
        self.known, self._unreadable, self._data = known, unreadable, texts

    def _take_wills(self, flat: Sequence[bytes]) -> None:
        """Tell what a snapshot says of operators' wills, before anybody hears of the instances."""
        texts = {_text(key): data for key, data in _pairs(flat)}
        if texts or self._wills:
            self._wills = set(texts)
            wills = (self._decode_will(member, data) for member, data in texts.items())
            self._tell((WillsTold(tuple(will for will in wills if will is not None), whole=True),))

    def _will(self, member: str, data: bytes) -> None:
        """An operator said something, or what he said was forgotten."""
        (self._wills.add if data else self._wills.discard)(member)
        will = self._decode_will(member, data)
        if will is not None:
            self._tell((WillsTold((will,)),))

    def _decode_will(self, member: str, data: bytes) -> Will | None:
        about = _will_of(member)
        service, _, name = member.partition("/")
        try:
            will = decode_will(service, name, data)
        except RecordError as error:
            self._warn(about, "A will in the registry is passed over: {member}: {why}", error)
            return None
        self._warned.discard(about)
        return will

    def _apply(self, position: bytes, flat: Sequence[bytes]) -> bool:
        """One entry of the stream. False if it does not follow what we have."""
        self._position = position
        change = _change(flat)
        if change is None:
            self._warn("", "An entry of the registry's stream is passed over: {why}", _STRANGE)
            return True
        kind, version, service, name, detail = change
        if kind == b"start" or version != self.version + 1:
            return False
        self._proven = self._now()
        self.version = version
        member = member_name(service, name)
        if kind == b"will":
            self._will(member, detail)
            return True
        self._unreadable.discard(member)
        if kind == b"put":
            self._tell(self._put(member, detail))
            return True
        self._warned.discard(member)
        if self.known.pop(member, None) is not None:
            del self._data[member]
            self._tell((InstanceRemoved(service, name, decode_reason(detail)),))
        return True

    def _put(self, member: str, data: bytes) -> Sequence[Event]:
        record = self._decode(member, data)
        old = self.known.pop(member, None)
        self._data.pop(member, None)
        if record is not None:
            self.known[member] = record
            self._data[member] = data
            return put_events(old, record)
        self._unreadable.add(member)
        return () if old is None else (InstanceRemoved(old.service, old.id, "its record became unreadable"),)

    def _decode(self, member: str, data: bytes) -> InstanceRecord | None:
        """One record, if it can be believed. What stands there as before is not read again."""
        if self._data.get(member) == data:
            return self.known[member]
        try:
            record = decode_record(data)
            if member_name(record.service, record.id) != member:
                raise RecordError(f"service, id: {record.service}/{record.id}; should be {shown(member)}, its key")
        except RecordError as error:
            self._warn(member, "A record in the registry is passed over: {member}: {why}", error)
            return None
        self._warned.discard(member)
        return record

    def _warn(self, about: str, text: str, why: object) -> None:
        """Once, not once for each reading; whoever floods us does not flood the log."""
        if about not in self._warned and len(self._warned) < MAX_WARNED:
            self._warned.add(about)
            self._log.warn(text, member=shown(about.removesuffix(WILL)), why=why)

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            # Told of the one before, the sink may have stopped us.
            if self._wanted:
                self._sink(event)

    def _stumbled(self, failure: Failure) -> None:
        """Say it once when we lose touch; a fault of our own is always told, and met with a fresh snapshot."""
        if isinstance(failure.value, CancelledError):
            raise failure.value
        if not isinstance(failure.value, RegistryError):
            self._log.failure("The registry's changes could not be followed; starting over", failure)
        elif self._in_touch:
            self._log.warn(
                "The registry does not answer: {why}. Going on with the {count} instances that are known",
                why=failure.getErrorMessage(),
                count=len(self.known),
            )
        self._in_touch = False
        self.problem = failure.getErrorMessage()


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _text(name: bytes) -> str:
    """Part of a key; two that differ stay different, whatever bytes they are."""
    return name.decode(errors="surrogateescape")


def _change(flat: Sequence[bytes]) -> tuple[bytes, int, str, str, bytes] | None:
    """Kind, version, service, id, and record, reason or will; None if that is not what the entry says."""
    fields = dict(_pairs(flat))
    kind, version = fields.get(b"kind", b""), fields.get(b"version", b"")
    if not _VERSION.fullmatch(version):
        return None
    if kind == b"start":
        return kind, int(version), "", "", b""
    service, name, detail = fields.get(b"service"), fields.get(b"id"), fields.get(_DETAILS.get(kind, b""))
    if service is None or name is None or detail is None:
        return None
    return kind, int(version), _text(service), _text(name), detail


def _will_of(member: str) -> str:
    """What a warning of a will is about, as opposed to one of the record."""
    return member + WILL


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
