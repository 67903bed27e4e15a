"""What a fleet costs: how fast the registry's news reach the next request, and what ten thousand leases take.

Everything is real and a process of its own: the gateway by twistd, a Valkey, instances that answer, and clients of the
registry. Nothing of wmesh is called inside: what is measured is what a client sees of the gateway, and what the kernel
knows of the two processes. `cases` holds the measurements, `stage` the processes, `feeder` and `registrar` are the
programs that register; `records` is for the figures. `memory` is a benchmark of its own, which asks a server what the
scripts cost it. See bench/README.rst.
"""
