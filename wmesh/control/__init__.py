"""The control plane: what finds out which instances exist, how they are, and how many there should be.

Registry, heartbeats, probes, launchers, deployment, scaling and what operators said live here. All of them write into
the Directory through events, and none of them touches a request: `wmesh.proxy` and this package never import each
other.
"""
