# make demo and make test set up everything they need in .venv: Python 3.11 to 3.13 and make are enough.
# The first Python that runs and fits; a name on the path may be a shim of nothing.
FITS := import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for name in python3.12 python3.11 python3.13 python3 python; do \
	if $$name -c "$(FITS)" 2>/dev/null; then echo $$name; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench setup clean
demo: $(VENV)/.base
	$(BIN)/python tracker.py --demo --output demo.jsonl --overlay demo.mp4

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy handpose regnet tracker geocongan tools datasets setup.py

bench: $(VENV)/.dev
	$(BIN)/python tools/benchmark.py

setup: $(VENV)/.dev

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 was found: install one, or make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.base: requirements.lock setup.py | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python tools/fix_opencv.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.dev: requirements-dev.lock setup.py | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/python tools/fix_opencv.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV) build *.egg-info demo.jsonl demo.mp4
