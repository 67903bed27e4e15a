"""What starts and stops instances, one file a kind. Each implements `wmesh.interfaces.Launcher`.

A launcher is told what to start, under which id and at which address; it decides nothing. How many instances there
should be, in which order, and what happens when one ends is `wmesh.control.deployment`'s matter.
"""

from __future__ import annotations

from wmesh.control.launchers.process import ProcessLauncher

__all__ = ["ProcessLauncher"]
