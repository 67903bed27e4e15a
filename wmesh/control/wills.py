"""What operators said of instances: known here, obeyed here, and shared with every gateway of the registry.

Strategy: there is one table of wills in each gateway, and they grow alike, for of two words the later one stands
wherever they meet (`wmesh.policy.wills`). A word that is said here is obeyed at once (through the Directory's write
door), is written to the file of this gateway, and is owed to the registry until that has taken it: now, or when it is
back. What the registry tells is obeyed if it is not older than what is known. Whatever is known better here, because
the registry was away, was emptied or was put back in time, is owed to it, too. So nothing has to be repeated by people.

    POST …/state ─► direct ──┬─► Directory.apply      at once
                             ├─► wills.json           at once
                             └─► registry.direct      now, or as soon as it can be
    registry ─► take(WillsTold) ─► Directory.apply    what is news

What else the registry tells is handed on (`onward`) as it came, in order. Services that are part of the gateway itself
(`reserved`) obey nobody from outside.

An instance that is here keeps its will from being forgotten (`KEEP`): also one that the configuration lists, of which
no registry knows.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from wmesh.cluster.directory import Directory
from wmesh.control.registry.will_codec import MAX_BY, encode_will
from wmesh.control.wills_file import WillsFile
from wmesh.errors import RegistryError
from wmesh.events import AdminStateChanged, Event, WeightChanged, WillsTold
from wmesh.interfaces import EventSink, Registry, Unset
from wmesh.model import AdminState, Said, Will
from wmesh.policy.wills import HOLD, asks, kept, merged, same, says_nothing, stamp

Key = tuple[str, str]

LOOK = 1.0
"""Seconds between two looks at what is owed to the registry."""

KEEP = 3600.0
"""Seconds after which the wills of all who are here are kept for longer."""


class Wills:
    """`clock` goes by seconds since 1970. `here` is what this machine is called; `file` may be None."""

    _log = Logger()
    _surviving = _log.failureHandler("What operators said could not be shared; this is tried again")

    def __init__(
        self,
        directory: Directory,
        registry: Registry,
        onward: EventSink,
        clock: IReactorTime,
        file: WillsFile | None,
        *,
        here: str = platform.node(),
        reserved: Collection[str] = (),
    ) -> None:
        self._directory = directory
        self._registry = registry
        self._onward = onward
        self._clock = clock
        self._here = here
        self._file = file
        self._reserved = reserved
        self._known: dict[Key, Will] = {}
        self._owed: set[Key] = set()
        self._unwritten = False
        self._sending = False
        self._looks: LoopingCall | None = None
        self._keep_at = 0.0
        self._problem = ""

    def start(self) -> None:
        """Obey what is remembered, before any instance is known. All of it is owed: others may know better, or less."""
        now = self._now()
        for will in self._file.read() if self._file is not None else ():
            if will.until >= now:
                self._set(will)
                self._owed.add((will.service, will.id))
        self._unwritten = False
        self._looks = LoopingCall(self._look)
        self._looks.clock = self._clock
        self._keep_at = self._clock.seconds() + KEEP
        self._looks.start(LOOK, now=False)

    def stop(self) -> None:
        """Share nothing any more; what is owed stays in the file."""
        looks, self._looks = self._looks, None
        if looks is not None:
            looks.stop()
            self._write()

    def take(self, event: Event) -> None:
        """The registry's word, of which what operators said stays here."""
        if isinstance(event, WillsTold):
            self._told(event)
        else:
            self._onward(event)

    def known(self, service: str, id: str) -> Will | None:
        """What was said of such an instance, be it there or not."""
        return self._known.get((service, id))

    def of(self, service: str) -> list[Will]:
        """What was said of instances of a service, be they there or not, by id."""
        return sorted((will for key, will in self._known.items() if key[0] == service), key=lambda will: will.id)

    def report(self, will: Will) -> dict[str, Any]:
        """One will as plain JSON values, for people."""
        found: dict[str, Any] = {"id": will.id, "admin": None, "weight": None}
        if will.state is not None:
            found["admin"] = self._report(will.state, will.state.value.name.lower())
        if will.weight is not None:
            found["weight"] = self._report(will.weight, will.weight.value)
        return found

    def describe(self) -> dict[str, Any]:
        """Plain JSON values: of how many instances something is wanted, and how much of it the registry is owed."""
        known = sum(asks(will) for will in self._known.values())
        return {"known": known, "owed": len(self._owed), "problem": self._problem or None}

    async def direct(
        self, service: str, id: str, state: AdminState | None, weight: int | Unset | None, by: str
    ) -> str:
        """Obey, and tell the others. Answers why they could not be told yet; empty if they were.

        What is said again is no news, and stays said by whom and when it was said first. Fails with RecordError, and
        does nothing, if no registry could hold this.
        """
        key = (service, id)
        old = self._known.get(key) or Will(service, id)
        now = self._now()
        by = (f"{by} at {self._here}" if self._here else by)[:MAX_BY]
        if state is not None and (old.state is None or old.state.value is not state):
            said_state: Said[AdminState] | None = Said(state, stamp(old.state, now), by)
        else:
            said_state = None
        if not isinstance(weight, Unset) and (old.weight is None or old.weight.value != weight):
            said_weight: Said[int | None] | None = Said(weight, stamp(old.weight, now), by)
        else:
            said_weight = None
        will = merged(old, Will(service, id, now + HOLD, said_state, said_weight))
        encode_will(will)
        self._set(will)
        if state is not None:
            # Also where that is nothing new: what was meant for one life only (a scale-down) ends with it.
            self._apply_state(self._known[key])
        self._write()
        self._owed.add(key)
        return await self._send([self._known[key]])

    # --- the registry's word

    def _told(self, event: WillsTold) -> None:
        told = set()
        for will in event.wills:
            key = (will.service, will.id)
            told.add(key)
            ours = self._known.get(key)
            if says_nothing(will):
                if key not in self._owed:
                    self._forget(key)
                continue
            stands = will if ours is None else merged(will, ours)
            if same(stands, will):
                self._owed.discard(key)
            else:
                self._owed.add(key)
            if (ours is not None or asks(stands)) and not same(ours or Will(*key), stands):
                self._note(ours, stands)
            self._set(stands)
        if event.whole:
            now = self._now()
            for key in self._known.keys() - told:
                if self._known[key].until >= now:
                    self._owed.add(key)
                else:
                    self._forget(key)

    def _note(self, old: Will | None, new: Will) -> None:
        """What is said here stands in the log already, with the request; this is what was said elsewhere."""
        told = []
        if new.state is not None and (old is None or new.state != old.state):
            told.append((f"state {new.state.value.name.lower()}", new.state.by))
        if new.weight is not None and (old is None or new.weight != old.weight):
            value = new.weight.value
            told.append((f"weight {'as registered' if value is None else value}", new.weight.by))
        for what, by in told:
            text = "{service}/{id}: {by} says: {what}"
            self._log.info(text, service=new.service, id=new.id, by=by or "somebody", what=what)

    def _set(self, will: Will) -> None:
        """Know it, and obey as far as it is news."""
        key = (will.service, will.id)
        old, self._known[key] = self._known.get(key), will
        if old is not None and same(old, will):
            return
        self._unwritten = True
        if old is None or old.state != will.state:
            self._apply_state(will)
        if will.weight is not None and (old is None or old.weight != will.weight):
            self._apply(
                WeightChanged(will.service, will.id, will.weight.value, self._ago(will.weight), will.weight.by)
            )

    def _apply_state(self, will: Will) -> None:
        said = will.state
        if said is not None:
            self._apply(AdminStateChanged(will.service, will.id, said.value, ago=self._ago(said), by=said.by))

    def _forget(self, key: Key) -> None:
        will = self._known.pop(key, None)
        self._owed.discard(key)
        if will is None:
            return
        self._unwritten = True
        if will.state is not None and will.state.value is not AdminState.READY:
            self._apply(AdminStateChanged(*key, AdminState.READY))
        if will.weight is not None and will.weight.value is not None:
            self._apply(WeightChanged(*key, None))

    def _apply(self, event: AdminStateChanged | WeightChanged) -> None:
        if event.service not in self._reserved:
            self._directory.apply(event)

    # --- what is owed to it

    def _look(self) -> None:
        with self._surviving:
            if self._unwritten:
                self._write()
            if self._sending or not self._registry.status().get("connected"):
                return
            wills = [self._known[key] for key in self._owed if key in self._known]
            due = self._clock.seconds() >= self._keep_at
            if due:
                self._keep_at = self._clock.seconds() + KEEP
                wills.extend(self._to_keep())
            if wills or due:
                self._sending = True
                sending = Deferred.fromCoroutine(self._send(wills))
                sending.addErrback(lambda failure: self._log.failure("Wills could not be shared", failure))
                sending.addBoth(self._sent)

    def _sent(self, _: object) -> None:
        self._sending = False

    def _to_keep(self) -> Iterable[Will]:
        here = [will for key, will in self._known.items() if self._directory.member(*key) is not None]
        for will in kept(here, self._now()):
            self._set(will)
            self._unwritten = True
            yield will

    async def _send(self, wills: list[Will]) -> str:
        """Answers why it could not be done."""
        try:
            await self._registry.direct(wills, self._now())
        except RegistryError as error:
            self._problem = str(error)
        else:
            for will in wills:
                known = self._known.get((will.service, will.id))
                if known is not None and same(known, will):
                    self._owed.discard((will.service, will.id))
            self._problem = ""
        return self._problem

    # --- small change

    def _write(self) -> None:
        self._unwritten = False
        if self._file is not None:
            self._file.write(self._known.values())

    def _now(self) -> int:
        return int(self._clock.seconds() * 1000)

    def _report(self, said: Said[Any], value: object) -> dict[str, Any]:
        return {"is": value, "since_seconds": round(self._ago(said), 3), "by": said.by or None}

    def _ago(self, said: Said[Any]) -> float:
        return max(0.0, self._clock.seconds() - said.since / 1000)
