# make demo and make test set up everything they need in .venv: Python 3.11 to 3.13 and make are enough.
PYTHON ?= $(firstword $(foreach name,python3.12 python3.11 python3.13 python3,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench setup clean
demo: $(VENV)/.base
	$(BIN)/python tracker.py --demo --output demo.jsonl --overlay demo.mp4

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy handpose regnet tracker geocongan tools setup.py

bench: $(VENV)/.dev
	$(BIN)/python tools/benchmark.py

setup: $(VENV)/.dev

$(VENV)/.python:
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
