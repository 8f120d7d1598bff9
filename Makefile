# Every chore is one word; CONTRIBUTING.md says what each needs. Environments are stamped, so a second call is instant.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

PYTHON ?= python3
# pytest workers: two keep a small machine busy, as tests also wait for servers and disks.
WORKERS ?= 2
FUZZ_SECONDS ?= 600
# What the tiers need beyond language packages, on Debian and Ubuntu: the command and its package.
IMAGE_PACKAGES := docker.io mmdebstrap
JAVA_PACKAGES := openjdk-17-jdk-headless maven
SYSTEM_PACKAGES := openssl faketime strace xfsprogs $(JAVA_PACKAGES) $(IMAGE_PACKAGES)
# The baseline of `make bench`, used when it is there.
BENCH_PACKAGES := etcd-server

export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11
INSTALLS := pyproject.toml requirements-uv.lock
PACKAGES := ledger master auth blockchain_adapters

.PHONY: help setup demo test test-fabric lint fix docs chain-tools fabric-bridge bench faults torture fuzz coverage lock system-packages

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

# $(1): environment, $(2): lock file. The stamp is made last: an interrupted installation starts again.
# Modules are compiled here, once: a command starts in a third less time, also where Python may not write beside the sources.
define install
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "metaledger needs Python 3.11 or newer; name one with make PYTHON=…")'
	rm -f $(1)/.ready
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-uv.lock
	$(1)/bin/uv pip sync --quiet --compile-bytecode --python $(1)/bin/python --require-hashes $(2)
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .
	$(1)/bin/python -m compileall -q $(PACKAGES)
	touch $(1)/.ready
endef

.venv/.ready: requirements.lock $(INSTALLS)
	$(call install,.venv,requirements.lock)

.venv-demo/.ready: requirements-demo.lock $(INSTALLS)
	$(call install,.venv-demo,requirements-demo.lock)

setup: .venv/.ready ## .venv with everything a developer needs; .venv/bin/ledger-cli is the command

ifeq ($(LEDGER),ethereum)
demo: setup
	$(BIN)/python -m tests.demo.run --ledger ethereum $(if $(FULL),--full)
else ifeq ($(LEDGER),hyperledger)
demo: fabric-bridge
	$(BIN)/python -m tests.demo.run --ledger hyperledger $(if $(FULL),--full)
else
demo: .venv-demo/.ready ## install the core alone, then run the main job on real input (FULL=1: all of it; LEDGER=ethereum, LEDGER=hyperledger: with a mirror)
	.venv-demo/bin/python -m tests.demo.run $(if $(FULL),--full)
endif

test: setup ## system packages when root, lint, then every tier
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(MAKE) --no-print-directory system-packages; else $(MAKE) --no-print-directory missing-packages; fi
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory chain-tools
	@$(MAKE) --no-print-directory fabric-bridge || echo "the closing summary names the tiers that need it" >&2
	$(PYTEST) -n $(WORKERS) --dist worksteal -q

test-fabric: setup chain-tools fabric-bridge ## the suites of Hyperledger Fabric on a real network, made by the programs in the folder FABRIC_BIN
	@test -n "$(FABRIC_BIN)" || { echo "name the folder of peer, orderer, osnadmin, cryptogen and configtxgen: make test-fabric FABRIC_BIN=…" >&2; exit 2; }
	FABRIC_BIN=$(abspath $(FABRIC_BIN)) $(PYTEST) tests/chains/hyperledger -m fabric -n $(WORKERS) --dist worksteal -q

lint: setup ## ruff, mypy, import-linter, the numbers of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.house

fix: setup ## what ruff can mend by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## the CLI and API reference from the code; the links of the documentation
	$(BIN)/python -m tests.support.reference
	$(BIN)/python -m tests.support.api_reference
	$(BIN)/python -m tests.support.kinds_page
	$(PYTEST) tests/unit/test_house.py -q -k links

chain-tools: setup ## the chain clients that tests run, pinned, into a cache outside the tree
	$(BIN)/python -m tests.support.chain_tools

fabric-bridge: setup ## the bridge to Hyperledger Fabric (Java 17, Maven): the wheel metaledger-fabric in dist/, installed into .venv
	$(BIN)/python -m tests.support.java_bridge

bench: setup ## the benchmarks, with their baselines in the same run
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(MAKE) --no-print-directory system-packages SYSTEM_PACKAGES='$(BENCH_PACKAGES)'; fi
	$(BIN)/python -m tests.bench

images: setup image-packages ## the container image on the smallest base (root on Debian or Ubuntu), kept in dist/ for docker load
	$(BIN)/python -m tests.docker.images

image-sizes: setup image-packages ## build the image and say what it weighs
	$(BIN)/python -m tests.docker.images --sizes

faults: setup ## the tier of faults at length: two hundred kills of a master, a hundred of a writer and of a mirrored master with its chain or channel, a thousand races on each backend, an overload that is measured
	$(PYTEST) tests/faults tests/contract tests/chains/test_killed_writing.py tests/chains/test_killed_mirror.py tests/chains/hyperledger/test_unreliable.py tests/chains/hyperledger/test_mirror_worker.py -n $(WORKERS) --dist worksteal -q --tier siege --timeout 1800

torture: setup ## the property tests with a hundred times the examples
	$(PYTEST) tests/property -n $(WORKERS) -q --hypothesis-profile torture --timeout 7200

fuzz: setup ## any text is a query or a domain error, in linear time, for FUZZ_SECONDS (600)
	$(BIN)/python -m tests.fuzz.queries -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1

coverage: setup ## branch coverage of the tiers that run in one process
	rm -f .coverage .coverage.*
	$(PYTEST) tests/unit tests/property tests/contract tests/conformance tests/chains -n $(WORKERS) -q --cov --cov-report=term-missing:skip-covered

lock: setup ## resolve the lock files anew: hashes, no index address, nothing younger than a week
	$(eval COOLDOWN := --exclude-newer $(shell date -u -d '7 days ago' +%F))
	$(COMPILE) $(COOLDOWN) --upgrade --no-emit-package metaledger-fabric --group dev --extra ethereum --extra hyperledger pyproject.toml -o requirements.lock
	$(COMPILE) $(COOLDOWN) --upgrade -c requirements.lock pyproject.toml -o requirements-core.lock
	$(COMPILE) $(COOLDOWN) --upgrade --extra ethereum -c requirements.lock pyproject.toml -o requirements-ethereum.lock
	grep -E '^hatchling==' requirements.lock | sed 's/ .*//' | $(COMPILE) $(COOLDOWN) -c requirements.lock - -o requirements-build.lock
	$(COMPILE) $(COOLDOWN) --upgrade --group demo -c requirements.lock pyproject.toml -o requirements-demo.lock
	$(COMPILE) $(COOLDOWN) --upgrade --no-emit-package metaledger-fabric --all-extras --group build -c requirements.lock pyproject.toml -o requirements-extras.lock
	grep -E '^uv==' requirements.lock | sed 's/ .*//' | $(COMPILE) $(COOLDOWN) - -o requirements-uv.lock

system-packages: ## apt (root): what the tiers need beyond language packages
	@missing=$$(dpkg-query -W -f='$${Package} $${db:Status-Status}\n' $(SYSTEM_PACKAGES) 2>/dev/null | awk '$$2 == "installed" {print $$1}' | grep -vxFf - <(printf '%s\n' $(SYSTEM_PACKAGES)) || true); \
	if [ -n "$$missing" ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null \
	    || { echo "could not install:" $$missing "- the closing summary names the tiers that need them" >&2; }; \
	fi

.PHONY: images image-sizes image-packages missing-packages
image-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(MAKE) --no-print-directory system-packages SYSTEM_PACKAGES='$(IMAGE_PACKAGES)'; fi

missing-packages:
	@for name in $(subst openjdk-17-jdk-headless,java,$(subst maven,mvn,$(subst docker.io,dockerd,$(subst xfsprogs,xfs_io,$(SYSTEM_PACKAGES))))); do command -v $$name >/dev/null || echo "not installed: $$name (as root on Debian or Ubuntu: make system-packages)" >&2; done
