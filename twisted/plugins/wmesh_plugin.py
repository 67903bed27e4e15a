"""Tells twistd that there is a `wmesh`. Loaded by every twistd run on the machine, so it imports nothing of ours."""

from twisted.application.service import ServiceMaker

wmesh = ServiceMaker("wmesh", "wmesh.tap", "Service discovery, load balancing and proxying from one gateway.", "wmesh")
