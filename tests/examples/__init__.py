"""Tests of the example services. They import each other as scripts do, so their folder goes on the path here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "grocery"))
