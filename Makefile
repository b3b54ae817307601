# `make` lists the targets; the ones that need an environment build it in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(INSTALLED) ## set everything up and run the main job on this machine's own documentation
	$(BIN)/tinylm demo --output demo
	@echo 'So that `tinylm` is found in this shell: source $(BIN)/activate'

test: lint ## set everything up, check the code and run all tests
	$(BIN)/pytest

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
	rm -rf $(VENV) demo demo-small

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinylm needs Python 3.11 or later; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)
