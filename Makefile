# `make` lists the targets. Each does only what has not been done yet.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

STACK ?= dev
UV_VERSION := 0.13.9
CACHE := $(shell . engine/places.sh && cache_folder)
UV = $(shell command -v uv || echo $(CACHE)/uv/$(UV_VERSION)/bin/uv)
ENGINE_BIN := $(shell engine/install.sh --print-path)
LIFTOFF := .venv/bin/liftoff

# Every launch starts Python several times: without byte code the clouds' SDKs alone take seconds each time.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(ENGINE_BIN):$(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: launch
launch: setup engine images ## Launch the stack STACK (dev: a machine of this host) and wait for its endpoint
	$(LIFTOFF) launch --stack $(STACK)

.PHONY: serve
serve: setup engine images ## Start the API and the launch page, for launches from the settings of the stack STACK
	$(LIFTOFF) serve --stack $(STACK)

.PHONY: destroy
destroy: setup engine ## Destroy the stack STACK and what it made
	$(LIFTOFF) destroy --stack $(STACK)

.PHONY: setup
setup: .venv/.synced ## Make the virtual environment .venv

# uv itself: the one on PATH, else the pinned one in the cache.
.venv/.synced: pyproject.toml uv.lock
	@if [ ! -x "$(UV)" ]; then \
	    echo "setup: no uv on PATH; installing uv $(UV_VERSION) into the cache"; \
	    python3 -m venv --clear "$(CACHE)/uv/$(UV_VERSION)" || { \
	        echo "setup: python3 can make no virtual environment; install python3-venv, or uv (https://docs.astral.sh/uv/)" >&2; exit 1; }; \
	    "$(CACHE)/uv/$(UV_VERSION)/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"; \
	fi
	$(UV) sync --frozen
	@touch $@

.PHONY: engine
engine: ## Install the pinned Pulumi engine into the cache
	@engine/install.sh

.PHONY: packages
packages: ## Install the Debian packages that local machines need
	@engine/debian.sh

.PHONY: test-packages
test-packages: ## Install the Debian packages that the tests need: a browser, PostgreSQL, jq
	@engine/debian.sh chromium postgresql jq

.PHONY: images
images: setup packages ## Build what local machines boot from, and the local S3 server
	$(LIFTOFF) local images

.PHONY: check
check: setup ## Lint, format check and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

.PHONY: test-unit
test-unit: setup ## Run the tests that need neither engine nor machine
	.venv/bin/pytest tests/unit

.PHONY: test
test: setup engine images test-packages ## Run all checks and all tests
	# Two at a time, the longest first: engines are waited for most of the time, and mypy takes minutes of one processor.
	@$(MAKE) --no-print-directory --keep-going -j2 test-engine check test-quick test-machine

.PHONY: test-engine test-machine test-quick
test-engine: setup ## Run the tests that drive the engine
	.venv/bin/pytest -q --durations=15 -m "engine and not machine"
test-machine: setup ## Run the tests that boot a machine
	.venv/bin/pytest -q --durations=15 -m machine
test-quick: setup ## Run the other tests
	.venv/bin/pytest -q --durations=15 -m "not engine and not machine"

.PHONY: audit
audit: setup ## Look up known vulnerabilities of all that is pinned
	$(UV) sync --frozen --group audit
	.venv/bin/python -m tests.security.audit $(UV)

RUNS ?= 500
SEED ?= 1
.PHONY: campaign
campaign: setup engine ## Launch RUNS times while everything fails that may; SEED chooses what, LEDGER keeps how far it is
	.venv/bin/python -m tests.campaign --runs $(RUNS) --seed $(SEED) $(if $(LEDGER),--ledger $(LEDGER))

.PHONY: bench
bench: setup engine images ## Measure boots, downloads and launches
	.venv/bin/python -m benchmarks.program
	.venv/bin/pytest -s -p no:cacheprovider benchmarks/failover.py benchmarks/control_plane.py
	$(UV) sync --frozen --group bench
	.venv/bin/python -m benchmarks.boot --gib 2 --svg docs/boot.svg
	.venv/bin/python -m benchmarks.weights --gib 4
	.venv/bin/python -m benchmarks.overhead --runs 3

.PHONY: clean
clean: ## Remove what this folder holds of builds; the cache stays
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
