# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Everything that is done in a clone. Each target installs what it needs first.

# The interpreter that .venv is made with: 3.11 or newer
PYTHON ?= python3
# One Molecule scenario; all of them if empty
SCENARIO ?=
# Further arguments for pytest
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
export PYTHON

STARTED := $(shell date +%s)
IN_ENV := source tests/hosts/env.sh;

.PHONY: help
help:
	@echo 'make demo       replay the outage on a host of its own, and end it'
	@echo 'make test       all checks: lint, unit, molecule'
	@echo 'make lint       ruff, mypy, yamllint, ansible-lint'
	@echo 'make unit       unit tests; ARGS="-k acl" goes to pytest'
	@echo 'make molecule   tests on real hosts; SCENARIO=outage runs only that'
	@echo 'make setup      only install what the others need'
	@echo 'make clean      remove the hosts of this clone'
	@echo 'make distclean  ... and images, .venv and caches as well'
	@echo
	@echo 'Each of them sets up what it needs first. That takes about two'
	@echo 'minutes once, as root on Debian; later it takes no time.'
	@echo 'PYTHON=python3.12 names another interpreter (3.11 or newer).'

# What runs on this machine alone needs no containers.
.PHONY: tools
tools:
	@tests/setup tools

.PHONY: setup
setup:
	@tests/setup hosts

# A name and a place of its own: `make molecule` leaves this host alone.
.PHONY: demo
demo: setup
	@$(IN_ENV) LOGWARD_HOST_NAME=logward-demo \
	    MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.cache/demo \
	    .venv/bin/python tests/demo.py

.PHONY: test
test: setup lint unit molecule
	@echo "make test: all passed in $$(($$(date +%s) - $(STARTED))) s"

.PHONY: lint
lint: tools
	@$(IN_ENV) ruff check .
	@$(IN_ENV) ruff format --check .
	@$(IN_ENV) mypy
	@$(IN_ENV) yamllint --strict .
	@$(IN_ENV) ansible-lint

.PHONY: unit
unit: tools
	@$(IN_ENV) pytest tests/unit $(ARGS)

.PHONY: molecule
molecule: setup
	@$(IN_ENV) molecule test $(if $(SCENARIO),-s $(SCENARIO),--all)

.PHONY: clean
clean:
	@$(IN_ENV) tests/hosts/remove hosts
	@rm -rf .cache/ansible .cache/demo
	@echo 'Kept: images and .venv. `make distclean` removes them, too.'

.PHONY: distclean
distclean: clean
	@$(IN_ENV) tests/hosts/remove images
	@rm -rf .venv .cache ansible_collections
	@echo 'Kept: what was installed with apt-get (podman, mmdebstrap, ...).'
