"""The whole program: `twistd wmesh` as a child process, real sockets, a real embedded registry, real instances.

Run by a call of its own (`python -m pytest tests/scenarios`): these are pytest-twisted functions, which cannot share a
process with the unit tests (see pyproject.toml). `stage` makes and clears away what a scenario needs, `meshes` writes
configurations, `program` is the gateway seen from outside, `clients` and `instances` are the two ends of its traffic.

Nothing here sleeps and hopes: `waiting` waits for something that can be seen, and says what it was when it is late.
"""
