"""A small program between the gateway and each child: it ties the child's life to ours, then becomes the child.

Strategy: everything that binds a process must happen inside that process, after the fork and before the exec, and
Twisted has no hook there (nor should a large parent run Python code between fork and exec). So `reactor.spawnProcess`
starts this file, which makes itself a session of its own (a Ctrl-C in the terminal reaches the gateway alone, which
then stops its children in order), asks the kernel for SIGTERM when its parent dies (Linux, prctl(2) PR_SET_PDEATHSIG,
which survives the exec), and execs the command. The pid stays the same: the parent talks to the command itself.

Rules: it runs as `python -I -S guard.py PARENT_PID -- command args…`, so it imports next to nothing (25 ms in all) and
nothing of wmesh. The kernel's signal is sent when the *thread* that forked ends; Twisted forks in the main thread. Only
the command itself is bound, not what it starts in turn. Elsewhere than on Linux the child merely gets its session.

Exit codes are the shell's: 127 no such command, 126 not executable, 2 wrong usage; 125 the parent was already gone.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def guarded(argv: list[str], parent: int | None = None) -> list[str]:
    """The argv for `reactor.spawnProcess` that runs `argv` bound to the life of `parent` (this process by default)."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(parent or os.getpid()), "--", *argv]


def _die(code: int, message: str) -> int:
    sys.stderr.write(f"wmesh guard: {message}\n")
    sys.stderr.flush()
    return code


def _bind_to(parent: int) -> bool:
    """Ask for SIGTERM at the parent's death; False if it has died already."""
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
            _die(0, f"cannot follow the parent's death: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before prctl took effect: then we belong to somebody else by now.
    return os.getppid() == parent


def _restore_signals() -> None:
    """Give back what Python took from us, so that the command finds signals as after any other exec."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(argv: list[str]) -> int:
    """Bind and exec. Returns only when that failed, with the exit code."""
    if len(argv) < 4 or argv[2] != "--" or not argv[1].isdigit():
        return _die(2, "usage: guard.py PARENT_PID -- command args…")
    command = argv[3:]
    if os.getsid(0) != os.getpid():
        os.setsid()
    if not _bind_to(int(argv[1])):
        return _die(125, f"the parent {argv[1]} is gone; {command[0]} is not started")
    _restore_signals()
    try:
        os.execvp(command[0], command)
    except (FileNotFoundError, NotADirectoryError):
        return _die(127, f"{command[0]}: no such command; give a path, or a name found on PATH")
    except OSError as error:
        return _die(126, f"{command[0]}: cannot be run: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
