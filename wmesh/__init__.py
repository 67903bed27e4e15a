"""wmesh: one gateway that owns registry, balancer, proxy and scaler together.

Nothing is imported here, so that `import wmesh.wire` and its pure siblings load no Twisted. Programs start at
`wmesh.api`; operators start at `etc/mesh.ini`; readers start at `wmesh.gateway`, where all parts meet.
"""

__version__ = "0.1.0"
