"""Single functions of the hot path, timed alone: `python -m bench.micro`.

`timing` is the harness; every other module holds one subject: a function `timings()` that builds what is needed and
gives statements to time. To add a subject, write such a module and name it in SUBJECTS of `__main__`. These figures
find out what a change to one function does; what it does to a request, only `python -m bench` can tell.
"""
