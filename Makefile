# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Needs git, make and (as root it installs it) python3; everything else is set up by the targets.

DISTRO ?= rke2
KEEP ?=
MINUTES ?= 15
PYTHON := .venv/bin/python
COLLECTION := .collections/ansible_collections/requorum/cluster
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

# $(call pytest,folder,options): nothing to do while a folder has no tests.
pytest = $(if $(shell find $(1) -name 'test_*.py' 2>/dev/null | head -1),$(PYTHON) -m pytest $(1) $(2))
# Lab tests take minutes and say what they wait for.
LIVE := --verbose --capture=no --durations=25 --durations-min=10
# $(call lanes,folder,options): a lab waits most of its time, so two go side by side.
lanes = $(foreach lane,"rke2" "not(rke2)",$(call pytest,$(1),$(LIVE) $(2) -k $(lane)) & pids="$$pids $$!";) \
	for pid in $$pids; do wait $$pid || failed=1; done; test -z "$$failed"

.DEFAULT_GOAL := help
.PHONY: help drill test test-lab test-unit test-conformance test-recovery test-faults test-slow test-kills test-molecule test-oracle test-promtool bench \
	lint ruff yamllint shellcheck ansible-lint changelog types collection lock airgap ee-context lab-parts clean setup-dev setup-test

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  test-faults takes MINUTES (now $(MINUTES)): no test begins later'
	@echo '  drill takes DISTRO=rke2|k3s (now $(DISTRO)) and KEEP=1 (leave the lab up)'

drill: setup-dev ## break a three-server cluster on this machine and recover it
	$(PYTHON) -m lab.drill --distro $(DISTRO) $(if $(filter-out 0,$(KEEP)),--keep)

test: lint types collection test-unit test-conformance test-recovery ## all that must pass before a change lands

test-lab: test-faults test-molecule test-oracle ## the slower lab tests

test-unit: setup-test ## unit tests only
	$(call pytest,tests/unit,-m "not slow" --numprocesses 2 --dist loadfile)

test-conformance: lab-parts ## does the stand-in behave like the real programs?
	$(call lanes,tests/conformance)

test-recovery: lab-parts ## one whole recovery of each distribution in the lab
	$(call lanes,tests/lab,-m recovery)

test-faults: lab-parts ## every other ending of a recovery: as many tests as there is time for, others first with each commit
	$(call lanes,tests/lab,-m "not recovery and not slow" --minutes $(MINUTES))

test-slow: lab-parts ## all lab tests but the two of test-recovery, and unit tests of minutes: some hours
	$(call pytest,tests/unit,-m slow)
	$(call lanes,tests/lab,-m "not recovery")

test-kills: lab-parts ## a recovery whose controller is killed at each action, before it and after it: some hours
	for distro in rke2 k3s; do $(PYTHON) -m tests.lab.kills --distro $$distro & pids="$$pids $$!"; done; \
	for pid in $$pids; do wait $$pid || failed=1; done; test -z "$$failed"

test-molecule: lab-parts ## converge, idempotence and verify of all scenarios
	$(if $(wildcard molecule/*/molecule.yml),NO_COLOR=1 MOLECULE_GLOB='molecule/*/molecule.yml' sh -c 'molecule destroy -s default && molecule test --all')

test-oracle: setup-test ## do our readers of datastores agree with etcdutl, bbolt and etcd-dump-logs?
	$(call pytest,tests/oracle)

bench: lab-parts ## recoveries by hand against recover.yml, growth with hosts, a large snapshot; with nothing else running
	$(PYTHON) -m bench.hands
	$(PYTHON) -m bench.growth
	$(PYTHON) -m bench.bulk

test-promtool: setup-test ## does promtool take what we write for Prometheus? CI has no time to build it
	$(call pytest,tests/promtool)

lab-parts: setup-test
	$(PYTHON) -m lab prepare

lint: ruff yamllint shellcheck ansible-lint changelog ## ruff, yamllint, shellcheck, ansible-lint, changelog fragments

ruff: setup-dev
	ruff check --output-format concise

yamllint: setup-dev
	yamllint --strict .

shellcheck: setup-test
	shellcheck .ci/run
	git ls-files -z --cached --others --exclude-standard '*.sh' | xargs -0 -r shellcheck --shell sh

ansible-lint: setup-dev
	ansible-lint --nocolor

changelog: setup-dev
	antsibull-changelog lint

types: setup-dev ## mypy --strict on the plugins, the command and the lab
	mypy $(wildcard src lab tools $(COLLECTION)/plugins)

collection: setup-dev ## build collection and wheel, read the documentation of every plugin
	$(PYTHON) tools/check_collection.py

lock: setup-dev ## pin all dependencies anew, after a change of them in pyproject.toml
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	$(PYTHON) -m tools.lock

airgap: setup-dev ## dist/requorum-*-airgap-*.tar: installs Requorum where there is no network
	$(PYTHON) -m tools.airgap

ee-context: setup-dev ## build/execution-environment: all that `podman build` needs for the image of AWX, but the base image
	$(PYTHON) -m tools.wheels build/wheels
	rm -rf build/execution-environment
	ansible-builder create --context build/execution-environment --output-filename Containerfile --verbosity 1

setup-dev setup-test: setup-%:
	@command -v python3 >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends python3; }
	@python3 tools/setup.py $*

clean: ## remove .venv and caches; labs and ~/.cache/requorum stay
	rm -rf .venv .ansible .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist requorum-cluster-*.tar.gz
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
