# make help lists the targets. They work for root and for other users, and ask nothing, except verify-aws.

VENV ?= .venv
PYTEST_ARGS ?=
# One more than the number of cores, because tests wait for servers and for time-outs.
WORKERS ?= $(shell expr $$(nproc) + 1)
bin := $(VENV)/bin
cdk := build/cdk/node_modules/.bin/cdk
npm := PATH="$(CURDIR)/$(bin):$$PATH" npm
lock := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11
# A layer's lock is for Lambda's runtime only: without markers, so that any Python can install it for that runtime.
layer_lock := uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--only-binary :all: --python-platform x86_64-manylinux_2_34 --python-version 3.14

# If it is set, each of the many processes of a run compiles 2,700 modules again: 17 s before the first test.
unexport PYTHONDONTWRITEBYTECODE

# Sets the variables with more versions of the servers for a command.
with_versions = set -e; variables=$$(sh tools/versions all); eval "$$variables";

.DEFAULT_GOAL := help
.PHONY: help demo verify-aws test test-long test-versions versions check lint types fast synth docs reference causes timelines terminal beliefs conformance bench format lock clean databases layers browser audit mutate coverage chaos

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Set up, and rotate a real PostgreSQL secret under a running application
	@$(bin)/rotators demo

test: $(VENV)/.dev databases layers ## Set up, databases included, and run all tests but those that take minutes
	@$(bin)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long" --durations=10 $(PYTEST_ARGS)

test-long: $(VENV)/.dev databases layers browser $(cdk) ## Run the tests that `make test` leaves out because they take minutes, and all faults
	@$(bin)/python -m pytest -n auto --dist worksteal -m long $(PYTEST_ARGS)
	@ROTATORS_TEST_SHARES=1 $(bin)/python -m pytest -n auto --dist worksteal -m "not long" tests/faults \
		tests/engines/test_injection.py $(PYTEST_ARGS)

versions: ## Fetch more versions of the databases, and print the variables that name them for the tests
	@sh tools/versions all

# Every version breaks a fourth of the faults. ROTATORS_TEST_SHARES=1: all, which takes hours.
test-versions: $(VENV)/.dev databases ## Run the tests of databases on every version that can be installed
	@$(with_versions) ROTATORS_TEST_SHARES=$${ROTATORS_TEST_SHARES:-4} $(bin)/python -m pytest -n $(WORKERS) \
		--dist worksteal tests/engines tests/equality tests/faults tests/security tests/testing \
		-m "server and not long" $(PYTEST_ARGS)

conformance: $(VENV)/.dev databases ## Run the tests that all engines must pass, and write the table of results to docs
	@CONFORMANCE_TABLE=docs/reference/conformance.md $(bin)/python -m pytest -q -n auto --dist worksteal \
		tests/engines/test_conformance.py tests/faults $(PYTEST_ARGS)

# CHAOS_SCHEDULES=N of each, CHAOS_SEED=S one alone; CHAOS_ENGINE and CHAOS_STRATEGY choose.
chaos: $(VENV)/.dev databases ## Run random schedules of rotations and faults on every engine, and print the results
	@PYTHONPATH=tests:tests/faults $(bin)/python -m chaos

# Side by side: each of the three keeps only one core busy for some seconds.
check: $(VENV)/.dev ## Run lint, types and fast, side by side
	@$(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,--jobs=3) --output-sync=target lint types fast

lint: $(VENV)/.dev ## Check lint, formatting and the direction of imports
	@$(bin)/ruff check .
	@$(bin)/ruff format --check .
	@$(bin)/lint-imports --no-cache

types: $(VENV)/.dev ## Check the types
	@$(bin)/mypy

fast: $(VENV)/.dev ## Run the tests that need no server and are quick
	@$(bin)/python -m pytest -q -n auto -m "not server and not slow and not long" $(PYTEST_ARGS)

mutate: $(VENV)/.dev ## Make small changes to the code, and see whether a test fails; ONLY=rotators/passwords.py: one module
	@PYTHONPATH=tools $(bin)/python -m mutation $(ONLY) $(MUTATE_ARGS)

# For the modules that are mutated. In one process, because coverage does not combine results here.
coverage: $(VENV)/.dev ## Measure which branches of these modules the fast tests run; fails below 95 %
	@$(bin)/python -m coverage run -m pytest -q -p no:xdist -m "not server and not slow and not long" \
		tests/unit tests/infra $(PYTEST_ARGS)
	@PYTHONPATH=tools $(bin)/python -m mutation.branches

synth: $(VENV)/.dev ## Write the CloudFormation template of rotations.yaml, with its layers, to cdk.out, and check it
	@PATH="$(CURDIR)/$(bin):$$PATH" WITHOUT_CA_BUNDLE=$${WITHOUT_CA_BUNDLE:-true} $(bin)/python -m infra.app
	@$(bin)/cfn-lint cdk.out/*.template.json

# Every warning is an error, such as a dead link or anchor, or a page that is not in the navigation.
docs: build/docs-venv/.docs ## Build the site of the documentation to build/docs
	@build/docs-venv/bin/sphinx-build -q -W --keep-going -c docs -d build/docs-doctrees . build/docs
	@echo "Open build/docs/index.html"

reference: $(VENV)/.dev ## Write the files that are made from the code: the schema and page of rotations.yaml, and the command line's page
	@$(bin)/python -m infra.config
	@$(bin)/python -m rotators.cli.reference

causes: $(VENV)/.dev databases ## Write the page of causes: what `rotators check` prints for each cause
	@CAUSES_PAGE=docs/reference/causes.md $(bin)/python -m pytest -q tests/checks/test_causes.py -m ""

timelines: $(VENV)/.dev databases ## Draw the pictures of the strategies, each from a rotation on a real server
	@TIMELINES=docs/explanation $(bin)/python -m pytest -q tests/docs/test_timelines.py

terminal: $(VENV)/.dev ## Draw the picture of `rotators rotate` on a terminal, from a run with the simulated service
	@TERMINAL=yes $(bin)/python -m pytest -q tests/docs/test_terminal.py

beliefs: $(VENV)/.dev ## Write the page of what the engines assume about their databases, from the tests' tables
	@PYTHONPATH=tests $(bin)/python -m beliefs.page

bench: $(VENV)/.dev databases ## Print README's table: ours against a checkout of AWS's templates, AGAINST=DIR
	@test -n "$(AGAINST)" || { echo "make bench AGAINST=DIR, a checkout of AWS's templates: see benchmarks/readme.py"; exit 2; }
	@$(bin)/python benchmarks/readme.py --against $(AGAINST) $(BENCH_ARGS)

# Not part of `make check`, `make test` or CI: its result depends on what is known about other projects today.
audit: $(VENV)/.dev ## Ask OSV for known vulnerabilities of the versions that the locks pin
	@$(bin)/python tools/audit.py $(AUDIT_ARGS)

# Costs money: it says how much, asks, and removes what it creates.
verify-aws: $(VENV)/.dev $(cdk) ## With ENGINE=postgres: test a real database in your AWS account, and remove it
	@test -n "$(ENGINE)" || { echo "make verify-aws ENGINE=postgres: see docs/how-to/verify-in-an-account.md"; exit 2; }
	@CA_BUNDLE="$(CA_BUNDLE)" YES="$(YES)" $(bin)/python -m infra.verify --engine $(ENGINE) $(ARGS)

format: $(VENV)/.dev ## Format the code
	@$(bin)/ruff check --fix-only --quiet .
	@$(bin)/ruff format .

lock: $(VENV)/.dev ## Update the locks to the newest versions that fit
	@cd requirements && ../$(bin)/$(lock) --upgrade uv.in --output-file uv.txt
	@$(bin)/$(lock) --upgrade pyproject.toml --extra all --group dev requirements/build.in requirements/uv.in \
		--output-file requirements/dev.txt
	@$(bin)/$(lock) --upgrade --constraint requirements/dev.txt pyproject.toml --extra demo requirements/build.in \
		--output-file requirements/demo.txt
	@$(bin)/$(lock) --upgrade --group docs requirements/build.in --output-file requirements/docs.txt
	@for layer in layers/*/; do $(bin)/$(layer_lock) --upgrade $$layer/requirements.in \
		--output-file $$layer/requirements.txt; done
	@$(bin)/$(layer_lock) --upgrade infra/verify/requirements.in --output-file infra/verify/requirements.txt
	@cd requirements/cdk && $(npm) install --silent --package-lock-only --ignore-scripts --save-exact \
		--omit-lockfile-registry-resolved --no-audit --no-fund aws-cdk@2

clean: ## Remove the environment and files that tests left behind
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache cdk.out dist build

# The layers that a test runs on this machine: fetched here, so that no test needs the network.
layers: $(VENV)/.dev
	@$(bin)/rotators package --engine postgres --output build/package --python "$$($(bin)/python -c \
		'import sys; print("%d.%d" % sys.version_info[:2])')" --arch "$$(uname -m | sed s/aarch64/arm64/)" >/dev/null

databases:
	@sh tools/databases

browser:
	@sh tools/browser

# The CDK's own command, for the tests that run it, with the hash of its package. Without it they are skipped.
$(cdk): requirements/cdk/package.json requirements/cdk/package-lock.json $(VENV)/.dev
	@mkdir -p build/cdk && cp requirements/cdk/*.json build/cdk
	@if $(npm) ci --silent --ignore-scripts --no-audit --no-fund --prefix build/cdk; then touch $@; else \
		echo "The CDK's command could not be fetched: its tests are skipped." >&2; fi

# A virtual environment for a lock. The stamp is written last, so an interrupted set-up begins again.
$(VENV)/.%: requirements/%.txt requirements/uv.txt build/installed.toml tools/setup
	@sh tools/setup $(VENV) $*
	@touch $@

build/docs-venv/.docs: requirements/docs.txt requirements/uv.txt build/installed.toml tools/setup
	@sh tools/setup build/docs-venv docs
	@touch $@

# The tables of pyproject.toml that determine the installation. The file is replaced only if one has changed: the settings
# of ruff, mypy or pytest need no new environment. With +, `make -n` does this too.
build/installed.toml: pyproject.toml
	+@mkdir -p $(@D)
	+@awk '/^\[/ { kept = /^\[+(build-system|project|dependency-groups|tool\.hatch)[].]/ } kept' $< >$@.new
	+@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
