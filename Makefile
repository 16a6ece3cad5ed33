# Each target makes the environment first if it is missing or out of date.
PYTHON ?= python3
DEMO_ARGS ?=
# Tests that share a cluster stay on one of the two processes.
TEST_ARGS ?= -q -n 2 --dist loadgroup
# For example LOCK_ARGS=--upgrade for the newest releases; without it the lock keeps its pins.
LOCK_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
TRAINING := $(VENV)/.training
DOCUMENTING := $(VENV)/.documenting

# Which build of PyTorch is the machine's choice, so it is held by its version and
# not by a hash: TORCH="torch==2.13.0 --index-url ..." takes it from elsewhere.
TORCH ?= $(shell sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)
# PyTorch and what only its CUDA build needs.
CUDA := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
	nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile \
	nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 \
	nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

# A Debian without python3-venv has no ensurepip: the environment then starts without pip, and the
# interpreter's own pip installs into it.
PIP = $$($(BIN)/python -m pip --version >/dev/null 2>&1 && echo $(BIN)/python -m pip \
	|| echo $(PYTHON) -m pip --python $(BIN)/python) --disable-pip-version-check

SUPPORTED = $(shell $(PYTHON) -c \
	'import sys; print("yes" if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help .venv train-env demo test train-test chaos matrix soak short lint types docs bench bench-train lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PYTHON=python3.12 chooses the interpreter of a new environment"

.venv: $(READY)  ## the environment: the locked packages and this project, editable

# The stamp is written last, so an interrupted installation starts again from nothing.
$(LOCKED): requirements.lock
	$(if $(SUPPORTED),,$(error $(PYTHON) is not Python 3.11, 3.12 or 3.13; choose one, as in: make PYTHON=python3.12 .venv))
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@echo "installing the locked packages"
	@$(PIP) install --quiet --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

# Setuptools comes from the lock: nothing unlocked is downloaded to build the project.
$(READY): $(LOCKED) pyproject.toml
	@echo "installing the project"
	@$(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

train-env: $(TRAINING)  ## the same environment with what training needs: PyTorch, RLlib and the rest

# The lock is complete, so pip resolves nothing; PyTorch comes last and finds the rest in place.
$(TRAINING): $(READY) requirements-train.lock
	@echo "installing the locked packages for training"
	@$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: -r requirements-train.lock
	@$(PIP) install --quiet $(TORCH)
	@touch $@

demo: $(READY)  ## run the demonstration; DEMO_ARGS="--sessions 10" for a short one
	$(BIN)/mos demo $(DEMO_ARGS)

test: $(READY)  ## run the tests on two processes
	$(BIN)/python -m pytest $(TEST_ARGS)

train-test: $(TRAINING)  ## run the tests of training, which need PyTorch
	$(BIN)/python -m pytest -q -m train tests

chaos: $(READY)  ## kill processes of real clusters for a quarter of an hour
	$(BIN)/python -m pytest -q -s -m "chaos and not short" tests/actors

matrix: $(READY)  ## every preset, seed and layout over a real cluster; 500 forgeries of runs
	$(BIN)/python -m pytest -q -s -m "matrix and not short" tests/actors tests/test_verify.py tests/test_two_writers.py

soak: $(READY)  ## play for hours and look at memory and descriptors
	$(BIN)/python -m pytest -q -s -m "soak and not short" tests/actors

short: $(READY)  ## the short forms of chaos, matrix and soak
	$(BIN)/python -m pytest -q -s -m short tests/actors

lint: $(READY)  ## check the code's style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## check the types
	$(BIN)/mypy

# Every warning is an error, and every cell of the tutorials is run; two pages are read at a time.
docs: $(DOCUMENTING)  ## build the documentation into build/docs/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -j 2 -d build/docs-cache docs build/docs

$(DOCUMENTING): $(READY) requirements-docs.lock
	@echo "installing the locked packages for the documentation"
	@$(PIP) install --quiet --require-hashes --no-deps --only-binary :all: -r requirements-docs.lock
	@touch $@

bench: $(READY)  ## run the benchmarks
	$(BIN)/python -m experiments.benchmarks.run

bench-train: $(TRAINING)  ## run the benchmark of training
	$(BIN)/python -m experiments.benchmarks.training

# Any environment with uv will do, also one that is older than the pyproject.toml just edited.
lock: | $(BIN)/uv  ## write the locks anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet $(LOCK_ARGS) -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra train --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet $(LOCK_ARGS) \
		--constraint requirements.lock $(CUDA:%=--no-emit-package %) -o requirements-train.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --quiet $(LOCK_ARGS) \
		--constraint requirements.lock --constraint requirements-train.lock -o requirements-docs.lock

$(BIN)/uv:
	$(MAKE) $(READY)

clean:  ## remove the environment, builds and caches; runs stay
	rm -rf $(VENV) build docs/generated dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
