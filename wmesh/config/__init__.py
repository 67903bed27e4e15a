"""What the operator wrote, understood: INI text and environment in, `wmesh.model.MeshConfig` or every problem out.

`load` reads a file, `parse` takes the text; both answer a `Loaded` or raise `wmesh.errors.ConfigError`. The files of
this package, in the order in which a value passes through them: `reader` (lines), `schema` with `kinds`, `places` and
`units` (values), `environment` (what overrides the file), `parse` (records), `routes` (what sections of routes make of
them), `checks` (rules between options). `draft` carries values and problems from one to the next, `wording` words them,
`manual` prints the schema as documentation.
"""

from __future__ import annotations

from wmesh.config.draft import Origin
from wmesh.config.parse import Loaded, load, parse

__all__ = ["Loaded", "Origin", "load", "parse"]
