# Everything a person or CI runs. The first target that needs it makes the virtual environment.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# The tests of Ditto need torch; a build for the CPU is enough (set TORCH to take another).
TORCH  ?= torch==2.13.0
RUN_READY  := $(VENV)/.ready-run
TEST_READY := $(VENV)/.ready-test

.DEFAULT_GOAL := help
.PHONY: help run test check e2e bench format clean

help:  ## Show this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(RUN_READY)  ## Set everything up and serve http://localhost:7136
	$(BIN)/ditto-avatar serve

test: $(TEST_READY)  ## Run all tests, the browser's too
	$(BIN)/pytest

e2e: $(TEST_READY)  ## Run the browser tests only
	$(BIN)/pytest -m e2e tests/e2e tests/web

check: $(TEST_READY)  ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_imports.py

bench: $(TEST_READY)  ## Measure on this machine; writes bench/results/
	$(BIN)/python -m bench

format: $(TEST_READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the virtual environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); \
			echo "The venv module is missing: on Debian or Ubuntu, apt install python3-venv"; exit 1; }

$(RUN_READY): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TEST_READY): pyproject.toml scripts/install-test-packages | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,ditto]' '$(TORCH)'
	@scripts/install-test-packages
	@touch $@
