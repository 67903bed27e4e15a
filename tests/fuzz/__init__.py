"""A fuzzer for the whole gateway: `python -m tests.fuzz --count 100000`. See `__main__`; no test runner collects it."""
