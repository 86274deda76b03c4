# The two commands: `make serve` and `make test`. Both work as the first thing typed on a machine with
# Python >= 3.11 and make. uv is used where it is found, else venv and pip.
SHELL := /bin/bash
# The first of these that runs and is new enough (a name on PATH may be a shim that does not run).
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
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

.PHONY: serve test lint types layers docs check build bench clean lock

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

test: $(VENV)/.dev  ## the whole suite
	@$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev
	@$(BIN)/mypy

layers: $(VENV)/.dev
	@$(BIN)/lint-imports

check: lint types layers test  ## what CI runs on the source

lock: $(VENV)/.dev  ## write requirements/*.txt anew (needs uv)
	@.ci/lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache
