"""The last known state of the registry in a file, for a start at which the registry knows nothing or cannot be reached.

Strategy: one JSON document, `state_dir/registry-snapshot.json`, replaced as a whole (`wmesh.control.state_file`) when
something changed, and no more often than every `PAUSE` seconds, or `EACH` for each record where that is longer: what
changes all the time is not worth more. Encoding thousands of records takes its time, so that is done in steps, between
which others have their turn; the file is written in the last. It holds records as they stand in the registry (`codec`),
and says which registry and namespace they are of: another registry's records are nobody's business.

    {"v": 1, "registry": "redis://10.0.0.5:6379", "namespace": "wmesh", "instances": [{"v": 1, "service": …}, …]}

What this process itself launched and registered is left out (`own`): it ends with us, and its ports may be somebody
else's at the next start. When nobody is left to remember, the file is removed. A file that cannot be read is ignored
with one warning, and replaced in time; so is a single record that cannot. No secret is in it: the registry's label has
no password.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from twisted.logger import Logger

from wmesh.control.registry.codec import encode_known, record_from
from wmesh.control.state_file import replace_file
from wmesh.errors import RecordError
from wmesh.model import InstanceRecord

NAME = "registry-snapshot.json"
FORMAT = 1
PAUSE = 2.0
EACH = 0.001
PORTION = 200
"""So many records are encoded in one step: three milliseconds."""

LARGEST = 64 * 1024 * 1024

Key = tuple[str, str]


class MemoryFile:
    """`label` names the registry without its password. `own((service, id))` says whether this process launched it."""

    _log = Logger()

    def __init__(self, state_dir: str, label: str, namespace: str, own: Callable[[Key], bool]) -> None:
        self.path = Path(state_dir) / NAME
        self._head = {"v": FORMAT, "registry": label, "namespace": namespace}
        self._own = own
        self._changed = False
        self._written_at: float | None = None
        self._written: bytes | None = None
        self._encoded: dict[Key, tuple[InstanceRecord, bytes]] = {}
        self._trouble = False

    def read(self) -> Sequence[InstanceRecord]:
        """What was known when it was written; nothing, with a warning, if that cannot be told."""
        try:
            if self.path.stat().st_size > LARGEST:
                raise ValueError("it is too large")
            document = json.loads(self.path.read_bytes())
            if type(document) is not dict or type(document.get("instances")) is not list:
                raise ValueError("it is not a snapshot of a registry")
            if document.get("v") != FORMAT:
                raise ValueError("it has another format")
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, RecursionError) as error:
            self._log.warn("{path} is ignored: {why}", path=str(self.path), why=str(error))
            return ()
        if any(document.get(name) != value for name, value in self._head.items()):
            self._log.info("{path} is of another registry and is ignored", path=str(self.path))
            return ()
        records = {}
        bad: list[str] = []
        for value in document["instances"]:
            try:
                record = record_from(value if type(value) is dict else {})
            except RecordError as error:
                bad.append(str(error))
            else:
                records[record.service, record.id] = record
        if bad:
            message = "{path}: {count} records are ignored; the first: {why}"
            self._log.warn(message, path=str(self.path), count=len(bad), why=bad[0])
        return tuple(records.values())

    def changed(self) -> None:
        """There is something new to write."""
        self._changed = True

    def due(self, now: float) -> bool:
        pause = max(PAUSE, EACH * len(self._encoded))
        return self._changed and (self._written_at is None or now - self._written_at >= pause)

    def write(self, records: Iterable[InstanceRecord]) -> None:
        """Replace what is there, if it differs, in one go. Trouble is told once, and met with another try at the next
        change."""
        for _ in self.steps(records):
            pass

    def write_last(self, records: Iterable[InstanceRecord]) -> None:
        """The same at the end; nothing is done if nothing changed."""
        if self._changed:
            self.write(records)

    def steps(self, records: Iterable[InstanceRecord], now: float | None = None) -> Iterator[None]:
        """The same in steps; what changes between them is for the next time. Who leaves it before its end, when nothing
        is written yet, has to say that there is something `changed`."""
        self._changed = False
        self._written_at = now
        encoded: dict[Key, tuple[InstanceRecord, bytes]] = {}
        fresh = 0
        for record in records:
            key = (record.service, record.id)
            if self._own(key):
                continue
            known = self._encoded.get(key)
            if known is None or known[0] is not record:
                if fresh == PORTION:
                    yield
                    fresh = 0
                fresh += 1
                known = (record, encode_known(record))
            encoded[key] = known
        self._encoded = encoded
        data = self._document()
        if data == self._written:
            return
        try:
            replace_file(self.path, data)
        except OSError as error:
            if not self._trouble:
                self._log.warn("{path} cannot be written: {why}", path=str(self.path), why=error.strerror)
            self._trouble = True
        else:
            self._written = data
            self._trouble = False

    def _document(self) -> bytes:
        """The whole file; empty if there is nobody to remember."""
        if not self._encoded:
            return b""
        head = json.dumps(self._head)[:-1].encode()
        lines = b",\n".join([data for _, data in self._encoded.values()])
        return b'%b, "instances": [\n%b\n]}\n' % (head, lines)
