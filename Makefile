# `make serve` and `make test` work as the first thing typed on a machine with Python >= 3.11 and make. `make help`
# lists the rest. uv is used where it is found, else venv and pip.
SHELL := /bin/bash
# The first of these that runs and is new enough (a name on PATH may be a shim that does not run).
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

ifeq ($(UV),)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
MAKE_VENV = "$(PYTHON)" -m venv $(VENV)
# One that uv made, before it was taken off PATH, has no pip.
HAVE_INSTALLER = $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
else
INSTALL = VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --compile-bytecode
HAVE_INSTALLER = true
MAKE_VENV = $(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
endif

# Without compiled files every start would compile all it imports again.
export PYTHONDONTWRITEBYTECODE :=

# Two more test processes than cores, as tests wait half of their time. `make test WORKERS=0` uses none.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 2)
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What measures with nothing but this checkout, shortened.
BENCHES = "cache.bench_keys" "cache.bench_l1" "context.bench_guard" "context.bench_renderings --customers 10" \
	"cli.bench_startup --rounds 3 --server-rounds 1"

.PHONY: help serve test quarantine coverage lint fmt types layers check docs build bench lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(MAKE_VENV)

$(VENV)/.serve: requirements/serve.txt pyproject.toml | $(BIN)/python
	@echo "installing into $(VENV) ..."
	@$(HAVE_INSTALLER)
	@$(INSTALL) -r requirements/serve.txt
	@$(INSTALL) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.serve
	@echo "installing the test tools into $(VENV) ..."
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

serve: $(VENV)/.serve  ## serve on 127.0.0.1:8000 with the embedded defaults; EXTRAS=openai,… installs more first
	@[ -z "$(EXTRAS)" ] || $(INSTALL) -c requirements/dev.txt -e '.[$(EXTRAS)]'
	@$(BIN)/tilores serve

test: $(VENV)/.dev  ## the whole suite; ARGS="tests/chat -k stale", ARGS="--lf", ARGS="-n0 --pdb"
	@$(PYTEST) $(ARGS)

quarantine: $(VENV)/.dev  ## the tests that are marked as flaky, which `make test` leaves out
	@$(PYTEST) -m quarantine $(ARGS) || [ $$? -eq 5 ]  # 5: there are none

coverage: $(VENV)/.dev  ## the suite with branch coverage, which must reach the floor in pyproject.toml
	@$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

lint: $(VENV)/.dev  ## ruff: rules and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

fmt: $(VENV)/.dev  ## ruff: repair what it can, and format
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

types: $(VENV)/.dev  ## mypy, strict
	@$(BIN)/mypy

layers: $(VENV)/.dev  ## import-linter: which package may import which
	@$(BIN)/lint-imports

check: lint types layers test  ## lint, types, layers, test

docs: $(VENV)/.dev  ## write the generated parts of the docs, then check all pages and run their commands
	@$(BIN)/python -m tests.docs.generated_blocks
	@$(PYTEST) tests/docs $(ARGS)

build: $(VENV)/.dev  ## the wheel, the sdist and the example plugin's wheel, into dist/
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist .
	@$(BIN)/python -m build --wheel --outdir dist examples/acme-cache

bench: $(VENV)/.dev  ## a short run of the benchmarks that need nothing but this checkout; benchmarks/README.md has all
	@for bench in $(BENCHES); do echo "== $$bench"; $(BIN)/python -m benchmarks.$$bench || exit 1; done

lock: $(VENV)/.dev  ## pin requirements/*.txt again from pyproject.toml (needs uv)
	@.ci/lock

clean:  ## remove the environment, caches and built files
	rm -rf $(VENV) build dist htmlcov .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
