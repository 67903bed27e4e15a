"""How gateways read what is not quite HTTP: `python -m bench.conformance`. See bench/README.rst."""
