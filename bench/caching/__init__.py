"""The cache, measured: what a hit costs beside others, and the public suite for HTTP caches. See bench/README.rst."""
