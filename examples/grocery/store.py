"""Small JSON documents that live for a while: carts, and the results of the queue.

A service that keeps state has to answer one question before it can be balanced: what if the next request goes to
another instance? By default a store is in memory and dies with its instance, which is fine for one instance or with
sticky sessions. Given a file (`--state`), all instances on this machine share it, and any of them can answer.

SQLite does both. Its calls block the reactor, for some tens of microseconds each: documents are small, found by key,
and never scanned. `change` reads and writes in one transaction, so two instances never lose each other's writes.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, expires REAL NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_expiry ON documents (kind, expires);
"""


class Full(Exception):
    """The store holds as many documents of this kind as it may."""


class Documents:
    """Documents of one kind. `lifetime` is seconds since the last write; `most` is how many there may be."""

    def __init__(
        self,
        kind: str,
        path: str = ":memory:",
        lifetime: float = 3600.0,
        most: int = 10_000,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._kind = kind
        self._lifetime = lifetime
        self._most = most
        self._now = now
        if path != ":memory:":
            Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
        self._base = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")
        self._base.executescript(_SCHEMA)

    def add(self, key: str, document: Document) -> None:
        """Raises Full. What has expired makes room first."""
        now = self._now()
        self._base.execute("DELETE FROM documents WHERE kind = ? AND expires <= ?", (self._kind, now))
        (count,) = self._base.execute("SELECT count(*) FROM documents WHERE kind = ?", (self._kind,)).fetchone()
        if count >= self._most:
            raise Full(f"there are {count} of kind {self._kind} already")
        self._write(key, document, now)

    def get(self, key: str) -> Document | None:
        row = self._base.execute(
            "SELECT document FROM documents WHERE kind = ? AND key = ? AND expires > ?", (self._kind, key, self._now())
        ).fetchone()
        if row is None:
            return None
        document: Document = json.loads(row[0])
        return document

    def change(self, key: str, edit: Callable[[Document], None]) -> Document | None:
        """Let `edit` alter the document in place. None if it is not there; unaltered if `edit` raises."""
        self._base.execute("BEGIN IMMEDIATE")
        with self._base:
            document = self.get(key)
            if document is not None:
                edit(document)
                self._write(key, document, self._now())
        return document

    def close(self) -> None:
        self._base.close()

    def _write(self, key: str, document: Document, now: float) -> None:
        self._base.execute(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)",
            (self._kind, key, json.dumps(document), now + self._lifetime),
        )
