PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s  %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY)  ## make the environment in .venv (the other targets do so as well)

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.PHONY: demo
demo: $(READY)  ## supervised, L2R and IEG on digits of which 81% are labelled wrong
	$(BIN)/python -m pipelines run --pipeline=sweep --output_dir=runs/demo $(ARGS)

.PHONY: run
run: $(READY)  ## one training pipeline, such as: make run ARGS="--method=l2r --noise_ratio=0.8"
	$(BIN)/python -m pipelines run $(ARGS)

.PHONY: compile
compile: $(READY)  ## the YAML of every pipeline, into compiled/
	$(BIN)/python -m pipelines compile --pipeline=training --output=compiled/training.yaml
	$(BIN)/python -m pipelines compile --pipeline=sweep --output=compiled/sweep.yaml

.PHONY: test
test: $(READY)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist=loadfile $(ARGS)

.PHONY: lint
lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: lock
lock: $(READY)  ## new lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --python-version=3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra=cpu --extra=pipelines --extra=beam --extra=dev pyproject.toml -o requirements/dev.txt
