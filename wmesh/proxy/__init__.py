"""The data plane: from a client's connection to an instance's and back, at the cost of a C proxy.

A Twisted shell round the pure packages `wire`, `cluster` and `policy`. Read `exchange` first: it is one request's whole
life; `downstream` and `upstream` are the two connections that it joins. Nothing here imports `wmesh.control`: the two
planes meet in the Directory.
"""
