# The project's commands; `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint format types build clean

help:  ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# The stamp is newer than what was installed from; a change of the dependencies installs again.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(VENV)/installed  ## Make a virtual environment and install into it

demo: install  ## Train CoFusion on Indian Pines (some minutes on 2 cores) and show table and picture
	$(BIN)/cofusion fit --config demo.yaml

test: install  ## Run the test suite (at most 10 minutes on 2 cores)
	$(BIN)/pytest -n 2

test-slow: install  ## Run the long tests: whole trainings on real scenes (about half an hour)
	$(BIN)/pytest -m slow

lint: install  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install  ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install  ## Check types
	$(BIN)/mypy

build: install  ## Build the wheel into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## Remove the environment and caches; runs and data stay
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
