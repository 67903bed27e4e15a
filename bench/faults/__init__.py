"""What clients see when instances fail, behind wmesh and behind its peers: `python -m bench.faults`.

Strategy: five fake instances (`instances`, one process, told over a control channel by `fleet` how to behave) stand
behind a proxy that is set up as its own documentation advises for failing instances (`settings`). A crowd (`crowd`)
asks at a constant rate, whether answers come or not, so that nothing that hangs can hide the requests that would have
come after it. A scenario (`scenarios`) is a fault with its beginning and its end; `play` plays it, `figures` says in
numbers what clients saw, `verdicts` compares two proxies, `report` prints. `behaviour` is the language in which faults
are told.

Scenario tests use the same instances and the same crowd (tests/scenarios/test_faults.py). CPU is not measured here.
"""
