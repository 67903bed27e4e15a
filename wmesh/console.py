"""The log as a person reads it, in the terminal of `twistd -n` or in the journal: one line an event.

    12:03:44 info   walmart-pricing/pricing-1 is healthy: status 200

Strategy: what wmesh says itself, and what the instances it launched print, is shown from the configured level on;
everything else is Twisted talking to its developers, and shown from `warn` on (or at all, when the level is debug).
Failures bring their traceback, indented below their line. To journald, which has its own clock, lines go without time
but with the priority that it understands (sd-daemon(3)); colours go to terminals only.

Texts may repeat what a client or an instance sent: control characters are made visible, so that nobody can forge a line
or steer a terminal. An observer must never raise: what cannot be formatted or written is given up.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

OURS = ("wmesh", "instance")
"""Roots of the namespaces that the configured level is for; `instance` is what launched instances print."""

_NAMES = ("debug", "info", "warn", "error", "critical")
_ORDER: dict[object, int] = {LogLevel.levelWithName(name): order for order, name in enumerate(_NAMES)}
_PRIORITIES = (7, 6, 4, 3, 2)
_COLOURS = ("\x1b[2m", "", "\x1b[33m", "\x1b[31m", "\x1b[1;31m")
_PLAIN = "\x1b[0m"

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@implementer(ILogObserver)
class ConsoleObserver:
    """`level` is the name of a level and may be changed at any time."""

    def __init__(self, stream: TextIO, level: str, *, journal: bool = False, colours: bool = False) -> None:
        self._stream = stream
        self._journal = journal
        self._colours = colours and not journal
        self.level = level

    @property
    def level(self) -> str:
        """The least important level that is still shown: debug, info, warn, error or critical."""
        return self._level

    @level.setter
    def level(self, name: str) -> None:
        self._ours = _ORDER[LogLevel.levelWithName(name)]
        self._others = self._ours if name == "debug" else max(self._ours, _ORDER[LogLevel.warn])
        self._level = name

    def __call__(self, event: LogEvent) -> None:
        try:
            level = _ORDER.get(event.get("log_level"), 1)
            if level >= (self._ours if _is_ours(event.get("log_namespace")) else self._others):
                self._write(self._format(event, level))
        except Exception:  # noqa: BLE001 - there is nobody left to tell, and who logs must not fail for it
            return

    def _format(self, event: LogEvent, level: int) -> str:
        text = formatEvent(event)
        failure = event.get("log_failure")
        if isinstance(failure, Failure):
            text = f"{text or 'Unhandled error'}\n{failure.getTraceback().rstrip()}"
        lines = [clean(line) for line in text.splitlines()] or [""]
        # What follows the first line is indented, so that a text with a line feed in it cannot look like two events.
        lines[1:] = [f"    {line}" for line in lines[1:]]
        if self._journal:
            return "".join(f"<{_PRIORITIES[level]}>{line}\n" for line in lines)
        stamp = time.strftime("%H:%M:%S", time.localtime(event.get("log_time", 0.0)))
        lines[0] = f"{stamp} {_NAMES[level]:8} {lines[0]}"
        whole = "\n".join(lines)
        colour = _COLOURS[level] if self._colours else ""
        return f"{colour}{whole}{_PLAIN}\n" if colour else f"{whole}\n"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()


def console_observer(stream: TextIO, level: str) -> ConsoleObserver:
    """The observer that fits where `stream` goes: a terminal, the journal, or anything else."""
    return ConsoleObserver(
        stream,
        level,
        journal=is_journal(stream, os.environ),
        colours=is_terminal(stream) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb",
    )


def is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (OSError, ValueError):
        return False


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Is this stream connected to journald? JOURNAL_STREAM is inherited by whatever a service starts, so it is not
    enough that it is set: it names the device and inode that the stream must have (systemd.exec(5))."""
    try:
        device, inode = environment.get("JOURNAL_STREAM", "").split(":")
        status = os.fstat(stream.fileno())
        return (status.st_dev, status.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


def clean(line: str) -> str:
    """Without colours, and with all other control characters written out."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", _ESCAPES.sub("", line))


def _is_ours(namespace: object) -> bool:
    return isinstance(namespace, str) and namespace.partition(".")[0] in OURS
