"""What is counted and measured: instruments that cost a request next to nothing, read when somebody asks.

Instruments are plain objects with plain integers in them; whoever owns the event writes them, and everything that is
derived (rates, percentiles, sums over services) is worked out by the reader. Pure standard library, no clock: durations
come in as seconds. What a number means for an operator is told by `wmesh.control.controls`, which puts them together.
"""
