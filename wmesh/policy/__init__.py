"""Decisions on one request or one service, as pure functions and small counters: numbers in, a verdict out.

Nothing here reads a clock, draws a random number or touches a socket: whoever asks brings time and chance along. That
is why every decision of the mesh can be run under a fake clock, days in seconds.
"""
