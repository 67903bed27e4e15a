"""wmesh beside its peers, in one run, on one machine: `python -m bench` (or `make bench`).

Strategy: requests per second say little on a shared machine, so the figure that counts is the CPU time that a proxy
spends on one request, read from the kernel's own accounting, and quoted as a ratio to a peer measured in the same run.
`run` puts it all together; `peers` holds one file a proxy; `load` drives `wrk`; `cpu` reads /proc; `idle` weighs
connections that do nothing; `goals` and `report` judge and print. `bench.micro` times single functions instead;
`bench.faults` asks what clients see when instances fail.
"""
