"""Who answered: what an instance says of itself in the answer to a check, against what the registry says of it. Pure.

An address proves nothing: when an instance dies, its port is free for the next program, while its lease runs on. A
program that was told its identity (`wmesh.control.launchers.identity`) may echo it in the answer to a health check, as
ID or as ID/INCARNATION (no id has a slash). Who says nothing is believed, as ever.
"""

from __future__ import annotations

from wmesh.model import InstanceRecord

SHOWN = 80
"""Characters of a claim that a reason shows."""


def impostor(record: InstanceRecord, claim: bytes) -> str:
    """Why `claim` is not that of the instance that is meant, for people; empty if it is, or says nothing.

    Instances that did not come from the registry are meant by their address alone: whoever answers there is the one,
    whatever another mesh calls him.
    """
    if record.origin != "registry" or not claim:
        return ""
    if claim == record.id.encode():
        return ""
    name, slash, _ = claim.partition(b"/")
    whole = f"{record.id}/{record.incarnation}" if record.incarnation else record.id
    # Of a record without an incarnation, nothing is known that a claim of one could be compared with.
    if claim == whole.encode() or (slash and not record.incarnation and name == record.id.encode()):
        return ""
    said = claim.decode("ascii", "backslashreplace")
    shown = said if len(said) <= SHOWN else f"{said[:SHOWN]}…"
    return f"answers as {shown}, expected {whole if slash and name == record.id.encode() else record.id}"
