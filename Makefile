# `make` lists the targets; the ones that need an environment build it in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-python test-lowest lint bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(INSTALLED) ## set everything up and run the main job on this machine's own documentation
	$(BIN)/tinylm demo --output demo
	@echo 'So that `tinylm` is found in this shell: source $(BIN)/activate'

# Models of tests are so small that one thread is as quick as two, so that files of tests run side by side.
test: lint ## set everything up, check the code and run all tests
	$(BIN)/pytest --numprocesses auto --dist loadfile

coverage: $(INSTALLED) ## run the fast tests and show what of the package they reach
	$(BIN)/pytest -m 'not slow' --cov --cov-report=term

# The base installation in an environment of its own: what needs torch or another extra is skipped, and so are three tests
# that start processes with extras or expect their messages.
BASE_TESTS := -m pytest -m 'not slow' -p no:cacheprovider tests/core tests/committee tests/text tests/tokens \
	--ignore tests/text/test_tables.py \
	-k 'not hub_names_and_failures and not two_processes_train and not masking_on_real'

test-python: ## test the base installation on another Python: make test-python PYTHON=python3.13
	$(PYTHON) -m venv --clear .venv-python
	.venv-python/bin/python -m pip install --quiet --constraint constraints.txt --editable . pytest hypothesis
	.venv-python/bin/python $(BASE_TESTS)

test-lowest: ## test the base installation with the lowest versions that pyproject.toml admits
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -c 'import tomllib; print(*[d.replace(">=", "==") for d in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]], sep="\n")' > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --constraint .venv-lowest/lowest.txt --editable . pytest hypothesis
	.venv-lowest/bin/python $(BASE_TESTS)

lint: $(INSTALLED) ## check style, docstrings, annotations, types and which way imports go
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(INSTALLED) ## measure speed and memory of training and answering against the usual ways
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks.training --data ../shared/data
	$(BIN)/python -m benchmarks.latency --data ../shared/data

clean: ## remove the environment and the demo
	rm -rf $(VENV) .venv-python .venv-lowest demo demo-small

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinylm needs Python 3.11 or later; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)
