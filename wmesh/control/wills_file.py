"""What operators said, in a file of this gateway: so a restart forgets nothing, whatever the registry remembers.

Strategy: one JSON document, `state_dir/wills.json`, replaced as a whole (`state_file`) when somebody said something,
which is rare. It holds wills as they stand in a registry (`registry.will_codec`), and says of which registry and
namespace they are: what was said of another fleet is not meant for this one.

    {"v": 1, "registry": "redis://10.0.0.5:6379", "namespace": "wmesh", "wills": [{"service": "pricing", "id": "p-1",
     "will": {"v": 1, …}}, …]}

A file that cannot be read is ignored with a warning, and replaced at the next word; so is a single will that cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from twisted.logger import Logger

from wmesh.control.registry.will_codec import encode_will, will_from
from wmesh.control.state_file import replace_file
from wmesh.errors import RecordError
from wmesh.model import Will

NAME = "wills.json"
FORMAT = 1
LARGEST = 16 * 1024 * 1024


class WillsFile:
    """`label` names the registry without its password."""

    _log = Logger()

    def __init__(self, state_dir: str, label: str, namespace: str) -> None:
        self.path = Path(state_dir) / NAME
        self._head = {"v": FORMAT, "registry": label, "namespace": namespace}
        self._trouble = False

    def read(self) -> Sequence[Will]:
        """What stands there; nothing, with a warning, if that cannot be told."""
        try:
            if self.path.stat().st_size > LARGEST:
                raise ValueError("it is too large")
            document = json.loads(self.path.read_bytes())
            if type(document) is not dict or type(document.get("wills")) is not list or document.get("v") != FORMAT:
                raise ValueError("it is not what was written there")
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, RecursionError) as error:
            self._log.warn("{path} is ignored: {why}", path=str(self.path), why=str(error))
            return ()
        if any(document.get(name) != value for name, value in self._head.items()):
            self._log.info("{path} is of another registry and is ignored", path=str(self.path))
            return ()
        wills = []
        for value in document["wills"]:
            try:
                wills.append(_will(value))
            except RecordError as error:
                self._log.warn("{path}: a will is ignored: {why}", path=str(self.path), why=str(error))
        return wills

    def write(self, wills: Iterable[Will]) -> None:
        """Replace what is there. Trouble is told once; the next word tries again."""
        lines = [
            b'{"service": "%b", "id": "%b", "will": %b}' % (will.service.encode(), will.id.encode(), encode_will(will))
            for will in wills
        ]
        head = json.dumps(self._head)[:-1].encode()
        try:
            replace_file(self.path, b'%b, "wills": [\n%b\n]}\n' % (head, b",\n".join(lines)) if lines else b"")
        except OSError as error:
            if not self._trouble:
                self._log.warn(
                    "{path} cannot be written, so a restart may forget what operators said: {why}",
                    path=str(self.path),
                    why=error.strerror,
                )
            self._trouble = True
        else:
            self._trouble = False


def _will(value: object) -> Will:
    if type(value) is not dict or type(value.get("will")) is not dict:
        raise RecordError("the will: missing; should be an object of service, id and will")
    return will_from(value.get("service", ""), value.get("id", ""), value["will"])
