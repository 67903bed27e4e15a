"""The registrations that one client of a Redis registry answers for: put in, renewed, taken out, and put back.

Strategy: what was registered is held, as the very bytes that were written, from before the server is told until it is
taken out again. Three things follow. A registration that failed because the server was away is made as soon as it
answers; a server that lost everything is whole again after `put_back`; and taking out takes out these bytes only, for
under the same id somebody else may have registered since.

When to put back is not decided here, for each client learns of a loss in its own way (`redis`: by its watch;
`registrar`: by a new connection). Nor is anything renewed by itself: that is the heartbeat's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from wmesh.control.registry import scripts
from wmesh.control.registry.changes import DEREGISTERED
from wmesh.control.registry.codec import encode_record, member_name
from wmesh.control.registry.link import Link
from wmesh.model import InstanceRecord

Key = tuple[str, str]

CHUNK = 500
"""Instances in one call: a script keeps the server from everybody else while it runs."""


class Holdings:
    """What is held in the namespace of `keys` through `link`, each on a lease of `lease` milliseconds."""

    def __init__(self, link: Link, keys: Sequence[bytes], lease: int) -> None:
        self._link = link
        self._keys = keys
        self._lease = lease
        self._records: dict[str, bytes] = {}

    async def register(self, record: InstanceRecord) -> None:
        """Put it in. From now on it is held, also if this fails because the server does not answer."""
        data = encode_record(record)
        member = member_name(record.service, record.id)
        self._records[member] = data
        await self._link.run(scripts.REGISTER, self._keys, self._lease, member.encode(), data)

    async def deregister(self, service: str, id: str) -> None:
        """Take out what is held there, unless something else stands there by now; if nothing is held, what stands."""
        member = member_name(service, id)
        held = self._records.pop(member, b"")
        await self._link.run(scripts.DEREGISTER, self._keys, member.encode(), DEREGISTERED.encode(), held)

    async def renew(self, loads: Mapping[Key, bytes]) -> list[Key]:
        """Renew leases, with encoded load samples (empty: none). Answers those that the server does not know."""
        keys = {member_name(*key): key for key in loads}
        unknown: list[Key] = []
        for members in _chunks(keys):
            flat = [part for member in members for part in (member.encode(), loads[keys[member]])]
            reply = await self._link.run(scripts.RENEW, self._keys, self._lease, *flat)
            unknown.extend(keys[member.decode()] for member in reply)
        return unknown

    async def put_back(self) -> None:
        """Register all of it again. Where it still stands, this renews its lease and changes nothing."""
        for members in _chunks(self._records):
            # Looked up as late as this: it may have been taken out while an earlier chunk was on its way.
            found = [(member, self._records[member]) for member in members if member in self._records]
            flat = [part for member, data in found for part in (member.encode(), data)]
            if flat:
                await self._link.run(scripts.REGISTER, self._keys, self._lease, *flat)


def _chunks(members: Iterable[str]) -> Iterator[list[str]]:
    listed = list(members)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))
