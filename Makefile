# Needs GNU make, git and Python 3.11 or newer. Everything is installed into $(VENV) and nothing outside it.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch
SIZE ?= small
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
PYTEST := $(BIN)/python -m pytest
READY := $(VENV)/.ready
READY_TEST := $(VENV)/.ready-test
TOP_LEVEL := CHANGELOG.md CONTRIBUTING.md LICENSE Makefile README.md conf experiments joint_seg_cls pyproject.toml tests

.DEFAULT_GOAL := help
.PHONY: help setup setup-test lock keys demo test test-slow check bench bench-check clean

help: ## list the targets
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

setup: $(READY) ## install the program and its packages into .venv (CPU or GPU torch, as pip's index provides)

setup-test: $(READY_TEST) ## install the packages of the tests and checks, too

# torch goes first and is resolved: a GPU build requires packages that the lock does not list. The rest is locked.
$(READY): pyproject.toml .ci/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing or older than 3.11; name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "installing the packages, which takes about a minute"
	$(PIP) --constraint .ci/requirements.txt torch
	$(PIP) --no-deps --no-build-isolation --requirement .ci/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_TEST): $(READY) .ci/requirements-test.txt
	$(PIP) --no-deps --no-build-isolation --requirement .ci/requirements-test.txt
	@touch $@

lock: ## resolve the newest packages that pyproject.toml allows into .ci/requirements*.txt (TORCH='torch==2.13.0' for one version)
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet $(TORCH) --editable '.[dev]' hatchling setuptools
	$(VENV)-lock/bin/python .ci/lock.py
	rm -rf $(VENV)-lock

keys: setup ## write experiments/KEYS.md from the schema of the configuration
	$(BIN)/python -c "from joint_seg_cls.cli.help import key_page; print(key_page(), end='')" > experiments/KEYS.md

demo: setup ## simulate a cohort, learn both tasks on it, apply the network (SIZE=small: a quarter of an hour, SIZE=toy: a minute)
	$(BIN)/python experiments/demo.py --size $(SIZE)

test: setup-test ## the tests, within ten minutes on two cores
	$(PYTEST) -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: setup-test ## the tests that take longer or install packages
	$(PYTEST) -m slow --durations=10 --jaxtyping-packages=joint_seg_cls,beartype.beartype

check: setup-test ## formatting, lint, types, layers, names at the top level
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	@extra="$(filter-out $(TOP_LEVEL),$(shell git -c core.quotePath=off ls-files | cut -d/ -f1 | grep -v '^\.' | sort -u))"; \
	  [ -z "$$extra" ] || { echo "these do not belong at the top level: $$extra" >&2; exit 1; }

bench: setup-test ## repeat the measurements of experiments/benchmarks/
	@for script in experiments/benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

bench-check: setup-test ## compare counts (operations, imports, opened files) with the record; fails if one has risen
	$(BIN)/python experiments/benchmarks/counts.py

clean: ## remove the files of the tools and the demo, but neither .venv nor runs
	rm -rf build dist demo .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find joint_seg_cls tests experiments -name __pycache__ -type d -prune -exec rm -rf {} +
