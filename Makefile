# Needs GNU make, git and Python 3.11 or newer. Everything is installed into $(VENV) and nothing outside it.
PYTHON ?= python3
VENV ?= .venv
SIZE ?= small
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --constraint .ci/constraints.txt
PYTEST := $(BIN)/python -m pytest
READY := $(VENV)/.ready
TOP_LEVEL := CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md conf experiments joint_seg_cls pyproject.toml tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check bench clean

help: ## say what can be made
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

setup: $(READY) ## install everything into .venv (CPU or GPU torch, as pip's index provides)

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than 3.11; name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --quiet setuptools hatchling
	@echo "installing the packages, which takes a few minutes"
	$(PIP) --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

demo: setup ## simulate a cohort, learn both tasks on it, apply the network (SIZE=small: a quarter of an hour, SIZE=toy: a minute)
	$(BIN)/python experiments/demo.py --size $(SIZE)

test: setup ## the tests, within ten minutes on two cores
	$(PYTEST) -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: setup ## the tests that take longer or install packages
	$(PYTEST) -m slow --durations=10

check: setup ## formatting, lint, types, layers, and what stands at the top level
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	@extra="$(filter-out $(TOP_LEVEL),$(shell git ls-files | cut -d/ -f1 | grep -v '^\.' | sort -u))"; \
	  [ -z "$$extra" ] || { echo "these do not belong at the top level: $$extra" >&2; exit 1; }

bench: setup ## measure again what experiments/benchmarks/ claims
	@for script in experiments/benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean: ## remove what the tools and the demo left behind, but neither .venv nor runs
	rm -rf build dist demo .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find joint_seg_cls tests experiments -name __pycache__ -type d -prune -exec rm -rf {} +
