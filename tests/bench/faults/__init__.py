"""Tests of bench.faults. Instances and crowd meet over real sockets, in a loop of their own."""
