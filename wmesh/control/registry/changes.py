"""From one state of an instance to the next, as events. Pure; shared by all registries: all tell the same story.

The store only says what is there now. Whether that is news, an update or another life of a known id is judged here, by
the reader, against what it knew: the store need not understand records, and two readers that missed different things
both tell the truth.
"""

from __future__ import annotations

from dataclasses import replace

from wmesh.events import Event, InstanceAdded, InstanceRemoved, InstanceUpdated
from wmesh.model import InstanceRecord

ORIGIN = "registry"
DEREGISTERED = "deregistered"
EXPIRED = "lease expired"
REPLACED = "replaced by another incarnation"


def as_registered(record: InstanceRecord) -> InstanceRecord:
    """The record as every reader of the registry sees it, whoever put it there."""
    return record if record.origin == ORIGIN else replace(record, origin=ORIGIN)


def put_events(old: InstanceRecord | None, new: InstanceRecord) -> tuple[Event, ...]:
    """What happened if `old` (None: nothing) was known and `new` stands there now.

    Another incarnation or address under a known id is another instance: the old one leaves first, so that nobody
    carries its breaker, averages or connections over.
    """
    if old is None:
        return (InstanceAdded(new),)
    if old == new:
        return ()
    if old.incarnation == new.incarnation and old.address == new.address:
        return (InstanceUpdated(new),)
    return (InstanceRemoved(old.service, old.id, REPLACED), InstanceAdded(new))
