# Every target says what it is for: make help
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait more than they compute, so there are more at a time than cores. A file's tests stay together, in the
# order of the folders: files of one long test would come last otherwise, and the other processes would be idle.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.ready

.PHONY: help demo test check serve bench format clean

help: ## Explain all targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("encola needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## Run the main job: a back office without a queue, with workers, with functions; with faults (half a minute)
	$(BIN)/python -m examples.back_office

test: $(READY) ## Run every test (PYTEST="-k name" for some of them)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

check: $(READY) ## Lint, types, import floors and the rules of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q $(PARALLEL) tests/house

serve: $(READY) ## Run a server on 127.0.0.1:9324 with its data in ./encola-data
	$(BIN)/encola serve

bench: $(READY) ## Run the benchmarks (see docs/benchmarks.md)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks

format: $(READY) ## Put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the other targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
