PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

DOCKER ?= docker
BASE_IMAGE ?= python:3.11-slim
TENSORFLOW ?= tensorflow-cpu
REGISTRY ?=
LOCAL_BASE := ieg-pipeline/base:bookworm
GPU := $(findstring cuda,$(TENSORFLOW))
export REGISTRY
export DOCKER_BUILDKIT := 1
IMAGE = $$($(BIN)/python -c "from components import images; print(images.TRAINER$(if $(GPU),_GPU))")

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY)  ## make the environment in .venv (the other targets do so as well)

# uv downloads in parallel; pip installs it, and everything where uv does not run.
LOCKED := --no-deps --require-hashes -r requirements/dev.txt
PIP := $(BIN)/python -m pip install --no-compile --progress-bar=off

$(READY): requirements/dev.txt pyproject.toml
	@echo "setup 1/3: a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/# via/p' requirements/dev.txt > $(VENV)/uv.txt
	@echo "setup 2/3: $$(grep -c '^[a-z].*==' requirements/dev.txt) packages, 2.5 GB on the disk"
	@$(PIP) --quiet --no-deps --require-hashes -r $(VENV)/uv.txt && \
	  $(BIN)/uv pip install --python $(BIN)/python $(LOCKED) || $(PIP) $(LOCKED)
	@echo "setup 3/3: this project"
	@$(PIP) --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: demo
demo: $(READY)  ## supervised, L2R and IEG on digits of which 81% are labelled wrong
	$(BIN)/python -m pipelines run --pipeline=sweep --output_dir=runs/demo $(ARGS)

.PHONY: run
run: $(READY)  ## own images from start to end: DATA=<folder or table> TRUSTED=<folder>, further flags in ARGS
	$(BIN)/python -m pipelines run --data="$(DATA)" $(if $(TRUSTED),--trusted="$(TRUSTED)") $(ARGS)

.PHONY: review
review: $(READY)  ## train again after a review of labels: DECISIONS=<file that the report saved>
	$(BIN)/python -m pipelines review --decisions="$(DECISIONS)" $(ARGS)

.PHONY: compile
compile: $(READY)  ## the YAML of every pipeline for every target, into compiled/
	for target in local kubeflow vertex; do for name in training sweep; do \
	  $(BIN)/python -m pipelines compile --pipeline=$$name --target=$$target \
	    --output=compiled/$$name-$$target.yaml || exit; done; done

TESTS := $(BIN)/python -m pytest --dist=worksteal

.PHONY: test
test: $(READY)  ## the essential tests, before a commit; 5 to 9 minutes on two cores
	$(TESTS) -n 3 -m "not docker and not slow" $(ARGS)

.PHONY: test-all
test-all: $(READY)  ## all tests that need no containers; 30 to 60 minutes on two cores
	$(TESTS) -n 2 -m "not docker" $(ARGS)

.PHONY: test-components
test-components: $(READY)  ## each component alone, as a subprocess
	$(BIN)/python -m pytest -m "not docker" tests/components $(ARGS)

.PHONY: test-docker
test-docker: build-images  ## images, components and pipelines in containers; arguments as build-images
	$(BIN)/python -m pytest -m docker $(ARGS)

.PHONY: bench
bench: $(READY)  ## speed and memory, as ratios in one run on this machine; half an hour
	for name in steps views embedding start growth; do $(BIN)/python -m benchmarks.$$name $(ARGS) || exit; done

.PHONY: lint
lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: build-images
build-images: $(READY)  ## the image for CPUs, or for GPUs: BASE_IMAGE=, TENSORFLOW=tensorflow[and-cuda], REGISTRY=
	@image="$(IMAGE)" && $(DOCKER) build --quiet --file docker/Dockerfile --tag "$$image" \
	  --build-arg LOCK=$(if $(GPU),gpu,cpu) --build-arg BASE_IMAGE=$(BASE_IMAGE) \
	  --build-arg VERSION="$${image##*:}" . && \
	  $(DOCKER) images --format '{{.Size}}\t{{.Repository}}:{{.Tag}}' "$$image"

.PHONY: push-images
push-images: $(if $(REGISTRY),,no-registry) build-images  ## build and push it: REGISTRY=...
	$(DOCKER) push "$(IMAGE)"

.PHONY: no-registry
no-registry:
	@echo "error: REGISTRY: must name a registry, such as host/project" >&2; exit 2

.PHONY: base-image
base-image:  ## a base image from Debian's packages, for machines that reach no registry of images
	DOCKER=$(DOCKER) docker/base.sh $(LOCAL_BASE)

LOCK_COMMAND := $(BIN)/uv pip compile --quiet --python-version=3.11 --generate-hashes \
  --no-emit-index-url --no-header --extra=pipelines pyproject.toml

.PHONY: lock
lock: $(READY)  ## new lock files from pyproject.toml: of this environment and of both kinds of image
	$(LOCK_COMMAND) --extra=cpu --extra=beam --extra=vertex --extra=hub --extra=dev -o requirements/dev.txt
	$(LOCK_COMMAND) --extra=cpu --extra=beam --extra=hub -c requirements/dev.txt -o requirements/cpu.txt
	$(LOCK_COMMAND) --extra=gpu --extra=beam --extra=hub -c requirements/dev.txt -o requirements/gpu.txt
