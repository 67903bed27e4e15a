"""Instances that the configuration declares: fixed addresses, and names that the DNS turns into addresses.

From the inside out: `question` puts one question to the name servers; `lookup` turns a name into instances by as many
questions as it takes; `declared` does so for every entry of every `instances =` when it is time, and tells the
Directory. What an answer means, and what it changes, is decided in `wmesh.policy.records` and `wmesh.policy.naming`.
"""

from __future__ import annotations

from wmesh.control.sources.declared import Declared

__all__ = ["Declared"]
