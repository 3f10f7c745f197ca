# gpumon needs Python 3.11 or newer with pip, and nothing else: `make run` sets up .venv and starts.
PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
REAL_READY := $(VENV)/.real-ready
MUTATION_READY := $(VENV)/.mutation-ready

# The interpreter's own pip fills .venv: Debian's python3 has no ensurepip to put one inside.
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check --quiet
EDITABLE := install --no-deps --no-build-isolation --editable .
# What takes a while says so before: on a clean clone the first thing to be seen is this.
SAY_INSTALLING = echo "Installing $$(grep -c '^[a-z].*==' $(1)) packages of $(1): half a minute or so, once" >&2
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test packages quick fuzz mutants check format-check lint types layers audit fix catalog accuracy man screenshots real lock clean

help: ## List what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r target what; do printf '%-20s %s\n' "$$target" "$$what"; done

run: $(RUN_READY) ## Start the dashboard; make run ARGS="demo" passes arguments
	@$(BIN)/gpumon $(ARGS)

test: $(DEV_READY) ## Run every test; make test ARGS="-k spill" passes arguments to pytest
	@$(BIN)/pytest -n auto --dist worksteal $(ARGS)

packages: $(DEV_READY) ## Build wheel and sdist, and install them from nothing by pip, pipx and uv, where these are
	@GPUMON_TEST_INSTALLS=1 $(BIN)/pytest -q tests/packages $(ARGS)

fuzz: $(DEV_READY) ## Press keys at random in a tmux pane; make fuzz ARGS="--seconds 600 --seed 7"
	@PYTHONPATH=.dev:. $(BIN)/python -m tests.fuzz.screen $(ARGS)

quick: format-check lint types $(DEV_READY) ## While you work: format, lint, types and the tests that only compute, in a minute
	@$(BIN)/pytest -n auto -q --quick $(ARGS)

mutants: $(MUTATION_READY) ## Try small wrong changes; make mutants ARGS="app/insight" names a package
	@$(BIN)/python -m tests.mutation $(ARGS)

check: format-check lint types layers test ## Everything a change must pass

format-check: $(DEV_READY)
	@$(BIN)/ruff format --check --quiet .

lint: $(DEV_READY)
	@$(BIN)/ruff check --quiet .

types: $(DEV_READY)
	@$(BIN)/mypy

layers: $(DEV_READY)
	@PYTHONPATH=.dev $(BIN)/lint-imports

# Known vulnerabilities are asked for over the network, which a machine may not have: that fails nothing.
audit: $(DEV_READY) ## Look up the locked packages among known vulnerabilities, where the network allows it
	@$(BIN)/python docs/audit.py $(ARGS)

fix: $(DEV_READY) ## Format the code and repair what the linter can
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

catalog: $(DEV_READY) ## Check the catalogue of language models that gpumon fit knows
	@$(BIN)/python docs/catalog.py

accuracy: $(DEV_READY) ## Compute the errors of rates and memory on published rows, and write them into the docs
	@PYTHONPATH=.dev:. $(BIN)/python -m benchmarks.accuracy --write

man: $(DEV_READY) ## Write docs/gpumon.1 and the tables of docs/configuration.md again
	@$(BIN)/python docs/manual.py

screenshots: $(DEV_READY) ## Draw the pictures of the README again
	@$(BIN)/python -m screenshots.draw

real: $(REAL_READY) ## Install a real llama-server and a model (300 MB), for the tests marked real_server

lock: $(DEV_READY) ## Resolve every dependency again
	@$(PIP) install uv
	@$(COMPILE) --upgrade --group build --output-file requirements.lock
	@$(COMPILE) --upgrade --group dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(COMPILE) --upgrade --group real --constraint requirements-dev.lock --output-file requirements-real.lock
	@$(COMPILE) --upgrade --group mutation --constraint requirements-dev.lock --output-file requirements-mutation.lock

clean: ## Remove what the other targets made
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("gpumon needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo 'gpumon needs pip (Debian: apt install python3-pip)' >&2; exit 1; }
	@echo 'First start: making a virtual environment in $(VENV)' >&2
	@$(PYTHON) -m venv --without-pip $(VENV)

$(RUN_READY): requirements.lock pyproject.toml | $(BIN)/python
	@$(call SAY_INSTALLING,requirements.lock)
	@$(PIP) install --require-hashes --requirement requirements.lock
	@echo 'Installing gpumon itself' >&2
	@$(PIP) $(EDITABLE)
	@touch $@
	@echo "Ready; from now on it starts at once" >&2

$(DEV_READY): requirements-dev.lock pyproject.toml | $(BIN)/python
	@$(call SAY_INSTALLING,requirements-dev.lock)
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@$(PIP) $(EDITABLE)
	@touch $@ $(RUN_READY)

$(REAL_READY): requirements-real.lock $(DEV_READY)
	@$(call SAY_INSTALLING,requirements-real.lock)
	@$(PIP) install --require-hashes --requirement requirements-real.lock
	@touch $@

$(MUTATION_READY): requirements-mutation.lock $(DEV_READY)
	@$(call SAY_INSTALLING,requirements-mutation.lock)
	@$(PIP) install --require-hashes --requirement requirements-mutation.lock
	@touch $@
