# Sealgate. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --retries 10 --timeout 120 --disable-pip-version-check
WORKERS ?= 2
ARGS ?= tests/unit
KEEP ?=
STUDY ?=

.PHONY: help venv demo test check lint campaign bench train evaluate lock audit sbom peers clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.dev ## virtual environment .venv with the gateway and what its tests need

$(VENV)/bin/python:
	@found=""; \
	for candidate in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Python 3.11 or newer is needed, and none was found (say which: make PYTHON=/path/to/python3)." >&2; exit 1; \
	fi; \
	if ! "$$found" -m venv $(VENV); then \
	  rm -rf $(VENV); \
	  echo "$$found can't make a virtual environment. Debian, Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi

# Three attempts: a package index that hiccups should not cost a run.
define install
	@echo "Installing Python packages ($(1))"
	@for attempt in 1 2 3; do \
	  if $(PIP) --editable '$(2)'; then touch $@; exit 0; fi; \
	  echo "pip failed (attempt $$attempt of 3)" >&2; sleep $$((attempt * 5)); \
	done; exit 1
endef

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(call install,gateway and tests,.[dev])

$(VENV)/.train: pyproject.toml | $(VENV)/bin/python
	$(call install,training,.[dev$(comma)train])

comma := ,

peers: ## Orthanc, DCMTK, dicom3tools and GDCM tools, through apt
	@sh deploy/install-peers.sh

demo: venv peers ## the whole product on this machine, shown and proven (KEEP=1 stays up, STUDY=folder)
	@$(BIN)/sealgate demo $(if $(KEEP),--keep) $(if $(STUDY),--study '$(STUDY)')

lint: venv ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: venv peers lint ## everything that must hold: lint, format, types, tests, branch coverage
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not campaign' --cov --cov-report=
	$(BIN)/python -m tests.support.coverage_floors

check: venv ## the tests of ARGS and nothing else (ARGS=tests/unit/spool; default: tests/unit)
	$(BIN)/python -m pytest -m 'not campaign' $(ARGS)

campaign: venv peers ## the long runs: every file and series of the collection beside the repository
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m campaign --timeout 3600

bench: venv peers ## instances per second, milliseconds of each step of sealing, of hiding, of revealing and of the header, memory
	$(BIN)/python -m tests.benchmarks.gateway
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.codec
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.header
	$(BIN)/python -m tests.benchmarks.associations
	$(BIN)/python -m tests.benchmarks.dicomweb

train: $(VENV)/.train ## train the networks (CPU, about 15 minutes)
	$(BIN)/python -m export.train

# Without its dependencies: it asks for the OpenCV build that needs a display, and gets the headless one.
$(VENV)/.compared: | $(VENV)/.train
	$(PIP) --no-deps 'invisible-watermark==0.2.0'
	@touch $@

evaluate: $(VENV)/.train $(VENV)/.compared ## measure the shipped networks, write the report docs/evaluation
	OMP_NUM_THREADS=1 $(BIN)/python -m export.evaluate

$(VENV)/.supply: pyproject.toml | $(VENV)/bin/python
	$(call install,supply chain,.[dev$(comma)supply])

lock: $(VENV)/.supply ## newest versions that pyproject.toml allows, with hashes, into deploy/requirements.lock
	$(BIN)/uv pip compile pyproject.toml --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --quiet --output-file deploy/requirements.lock

audit: $(VENV)/.supply ## known vulnerabilities of the locked packages (asks the Python Package Index)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --requirement deploy/requirements.lock

sbom: $(VENV)/.supply ## bill of materials (CycloneDX) of the locked packages: dist/sbom.cdx.json
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements deploy/requirements.lock --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --output-format JSON --output-file dist/sbom.cdx.json

clean: ## remove caches, builds, work folders and the virtual environment
	rm -rf .work build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis $(VENV)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
