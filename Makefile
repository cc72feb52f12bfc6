# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# Everything that is done in a clone. Each target installs what it needs first.

# The interpreter that .venv is made with: 3.11 or newer
PYTHON ?= python3
# One Molecule scenario; all of them if empty
SCENARIO ?=
# The Debian release of the test host: bookworm if empty. With `make unit`, the
# release whose Python is used: this machine's own if empty
SUITE ?=
# How many random decisions are compared with the kernel's (1,000,000 by `make
# fuzz`, 20,000 by the unit tests if empty), and how many random repairs with the
# promise of each plan (200 by the unit tests if empty; half as many are taken
# back), and how many repairs are killed (12 by the unit tests if empty), and for
# how many seconds one is attacked (60 by `make fuzz`, 10 by the unit tests if
# empty)
DECISIONS ?=
PROMISES ?=
KILLS ?=
ATTACK_SECONDS ?=
# Which ones, in `make fuzz`, and in which order a repaired host is rebooted,
# rotated and restarted, in `make molecule`: any if empty
SEED ?=
# How many rounds of that it has to last, and how often a repair is made while
# fifty requests a second are to be served (3 and 1 by `make molecule` if empty)
ROUNDS ?=
LOADS ?=
# Further arguments: of pytest in `make unit`, of ansible-test in `make sanity`
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
export PYTHON

IN_ENV := source tests/hosts/env.sh;
HOST := $(or $(SUITE),bookworm)
ifneq ($(DECISIONS),)
export LOGWARD_DECISIONS := $(DECISIONS)
endif
ifneq ($(PROMISES),)
export LOGWARD_PROMISES := $(PROMISES)
endif
ifneq ($(KILLS),)
export LOGWARD_KILLS := $(KILLS)
endif
ifneq ($(ATTACK_SECONDS),)
export LOGWARD_ATTACK_SECONDS := $(ATTACK_SECONDS)
endif
ifneq ($(SEED),)
export LOGWARD_SEED := $(SEED)
endif
ifneq ($(ROUNDS),)
export LOGWARD_ROUNDS := $(ROUNDS)
endif
ifneq ($(LOADS),)
export LOGWARD_LOADS := $(LOADS)
endif

.PHONY: help
help:
	@echo 'make demo       replay the outage on a host of its own, and end it'
	@echo 'make test       all checks below, and how long each of them took'
	@echo 'make test-all   the same, then older hosts and many more decisions'
	@echo 'make lint       style, types, playbooks, documentation, changelog'
	@echo 'make sanity     ansible-test sanity; ARGS="--test pylint" runs one'
	@echo 'make unit       unit tests; ARGS="-k acl" goes to pytest,'
	@echo '                SUITE=bullseye takes the Python of that release'
	@echo "make debian     all parsers, on what Debian's packages install"
	@echo "make fuzz       a million random decisions, held against the kernel's:"
	@echo '                SEED=1234 replays a run, DECISIONS=20000 sets how many;'
	@echo '                then the repair, attacked for ATTACK_SECONDS=60'
	@echo 'make core       the playbooks, with newer releases of ansible-core'
	@echo 'make molecule   tests on real hosts; SCENARIO=outage runs only that,'
	@echo '                SUITE=trixie on that release; SCENARIO=lasting ROUNDS=10'
	@echo '                LOADS=10 SEED=1234: how long, how often, which order'
	@echo 'make bench      speed beside other tools; bench-large: a million files'
	@echo 'make setup      only install what the demo and the tests need'
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
	@tests/setup images host/$(HOST)

# A name and a place of its own: `make molecule` leaves this host alone.
.PHONY: demo
demo: setup
	@export LOGWARD_SUITE=$(HOST); $(IN_ENV) LOGWARD_HOST_NAME=logward-demo \
	    MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.cache/demo \
	    .venv/bin/python tests/demo.py

# The oldest and the newest Python that hosts may have, too: the kernel decides
# alike for all.
FEWER := PROMISES=100 KILLS=6 ATTACK_SECONDS=3
# A change is judged by the examples by which the one before it was judged. New ones
# are found by `make unit`, `make fuzz` and `make test-all`, and replayed by a seed.
SAME := SEED=1
.PHONY: test
test:
	@tests/steps images lint sanity 'unit $(SAME) KILLS=200' debian \
	    'unit SUITE=bullseye $(SAME) $(FEWER)' \
	    'unit SUITE=forky $(SAME) $(FEWER)' core \
	    'molecule SUITE=bookworm' 'molecule SUITE=trixie'

.PHONY: test-all
test-all:
	@tests/steps test 'unit SUITE=bullseye' 'unit SUITE=trixie' \
	    'unit SUITE=forky' 'unit PROMISES=2000' fuzz \
	    'molecule SCENARIO=lasting SUITE=bookworm ROUNDS=10 LOADS=10' \
	    'molecule SCENARIO=lasting SUITE=trixie ROUNDS=10 LOADS=10' \
	    'molecule SUITE=bullseye'

# All that `make test` needs, at once: building them one by one takes longer.
.PHONY: images
images:
	@tests/setup images host/bookworm host/trixie python/bullseye python/forky

.PHONY: lint
lint: tools
	@$(IN_ENV) ruff check .
	@$(IN_ENV) ruff format --check .
	@$(IN_ENV) mypy
	@$(IN_ENV) yamllint --strict .
	@$(IN_ENV) ansible-lint
	@$(IN_ENV) antsibull-changelog lint
	@$(IN_ENV) antsibull-docs lint-collection-docs --plugin-docs \
	    --validate-collection-refs dependent --disallow-unknown-collection-refs .
	@$(IN_ENV) shellcheck --external-sources $$(git ls-files \
	    --cached --others --exclude-standard | xargs grep -lE '^#!.*[ /](ba)?sh$$')

.PHONY: sanity
sanity: tools
	@$(IN_ENV) python tests/sanity/run.py $(ARGS)

EXAMPLES := $(if $(SEED),--hypothesis-seed=$(SEED))
ifeq ($(SUITE),)
.PHONY: unit
unit:
	@tests/setup unit
	@$(IN_ENV) pytest $(EXAMPLES) $(ARGS)
else
# What runs on hosts, that is all but roles. (One test starts Ansible itself,
# for which there is `make core`.)
.PHONY: unit
unit:
	@tests/setup images python/$(SUITE)
	@tests/setup packages unit
	@tests/hosts/pytest python/$(SUITE) unit $(EXAMPLES) $(ARGS) \
	    $(if $(filter tests/%,$(ARGS)),,tests/unit/plugins) --deselect \
	    tests/unit/plugins/modules/test_contract.py::test_module_ships_with_all_that_it_imports
endif

# Beside what people use now. On a machine with nothing else to do.
.PHONY: bench
bench:
	@tests/setup unit
	@$(IN_ENV) python bench/audit.py
	@$(IN_ENV) python bench/repair.py
	@$(IN_ENV) python bench/plays.py
	@$(IN_ENV) python bench/repair_plays.py

.PHONY: bench-large
bench-large:
	@tests/setup unit
	@$(IN_ENV) python bench/audit.py --files 1000000 --rounds 3
	@$(IN_ENV) python bench/repair.py --files 1000000 --rounds 1
	@$(IN_ENV) python bench/repair_plays.py --files 100000 --rounds 1

.PHONY: fuzz
fuzz:
	@tests/setup unit
	@$(IN_ENV) python -m ansible_collections.logward.permissions.tests.fuzz \
	    $(if $(SEED),--seed $(SEED)) $(if $(DECISIONS),--decisions $(DECISIONS))
	@$(IN_ENV) LOGWARD_ATTACK_SECONDS=$(or $(ATTACK_SECONDS),60) \
	    pytest -rP tests/unit/plugins/module_utils/test_attack.py

# What Debian's packages configure, fetched and unpacked in .cache/debian. On Debian.
.PHONY: debian
debian:
	@tests/setup unit
	@$(IN_ENV) pytest $(or $(filter tests/debian%,$(ARGS)),tests/debian) \
	    $(filter-out tests/debian%,$(ARGS))

# Releases that need a newer Python than .venv may have. Debian trixie has one.
.PHONY: core
core:
	@tests/setup images host/trixie
	@tests/setup packages unit core-2.20 core-2.21
	@for release in 2.20 2.21; do \
	    echo "core: ansible-core $$release"; \
	    tests/hosts/pytest host/trixie core-$$release:unit tests/core; \
	done

# A name for each release: `make test` runs two of them at the same time.
.PHONY: molecule
molecule: setup
	@export LOGWARD_SUITE=$(HOST); \
	export LOGWARD_HOST_NAME=$${LOGWARD_HOST_NAME:-logward}-$(HOST); \
	$(IN_ENV) molecule test $(if $(SCENARIO),-s $(SCENARIO),--all)

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
