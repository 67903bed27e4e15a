"""Directories for tests. WHY not TestCase.mktemp: under pytest it leaves its directories in the checkout."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase


def scratch(case: TestCase) -> Path:
    """An empty directory that goes away with the test."""
    path = Path(tempfile.mkdtemp(prefix="bench-test-")).resolve()
    case.addCleanup(shutil.rmtree, path)
    return path
