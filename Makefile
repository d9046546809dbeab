# Every target sets the project up first, in .venv, from a bare machine with Python 3.11 or newer.
# pip, not uv or poetry: those do not see a CPU-only build of torch that pip is configured for.

# Idle OpenMP threads must sleep: spinning ones slow a small model down forty times on a busy
# machine.
export OMP_WAIT_POLICY := PASSIVE
# Tests start hundreds of processes; without compiled files each one would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
BIN := .venv/bin
STAMP := .venv/.installed
# Every benchmark that can be run by itself; two have targets of their own, one loads a server.
BENCHMARKS := $(filter-out bus_roles growth forge_library fuzz_artifact http_load soak,$(basename $(notdir $(shell grep -l __main__ benchmarks/*.py))))
NOW := $(shell date -u +%Y%m%d-%H%M%S)

.DEFAULT_GOAL := help
.PHONY: help setup browser demo test test-kill test-faults check format bench bench-growth soak fuzz fuzz-api docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) browser ## create .venv and install everything into it

# Compiled is what tests import, once, before their processes would do it side by side: of all files
# of the hundred packages that is a tenth.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[data,platform,tracing,parquet,tensorboard,wandb,mlflow,trackio,dev]'
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -c 'from support import fork_server; fork_server.load()'
	@touch $@

# The dashboard is tested in a real browser. Where it cannot be installed, those tests say that they
# are skipped; with ESPER_REQUIRE_BROWSER=1, as in CI, they fail.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	  || echo "no Chromium here and no way to install it: the dashboard's tests will be skipped (as root: apt-get install chromium)"

demo: $(STAMP) ## grow a small network on MNIST-1D and write a report to runs/
	$(BIN)/esper train --quick-start mnist1d --output runs/demo-$(NOW)

# One process more than there are cores: many tests wait for servers and other processes.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# A file's tests share what is dear to start; what takes longest comes first, and the small files of
# tests/unit last, so that no process waits long for another's last file. Each test has a limit of
# its own; how long all of them take is the machine's affair.
SLOWEST_FIRST := tests/e2e tests/integration tests/faults
TESTS := $(SLOWEST_FIRST) $(filter-out $(SLOWEST_FIRST) tests/structure tests/unit,$(sort $(patsubst %/,%,$(wildcard tests/*/)))) tests/unit
test: $(STAMP) browser ## run the tests
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

test-kill: $(STAMP) ## kill a growing run 20 times with -9 and resume it (minutes)
	ESPER_KILLS=20 $(BIN)/python -m pytest -q --timeout=1200 tests/e2e/test_resume.py -k killed

test-faults: $(STAMP) ## kill the library at every failpoint, halt its workers, restart its servers (minutes)
	ESPER_FAULTS=long $(BIN)/python -m pytest -q --timeout=600 tests/faults

check: $(STAMP) ## format, lint, types, import contracts, structure
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/structure

format: $(STAMP) ## format and repair what can be repaired mechanically
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure overhead, cache and recovery (minutes)
	@set -e; for name in $(BENCHMARKS); do echo "== benchmarks.$$name"; $(BIN)/python -m benchmarks.$$name; done

bench-growth: $(STAMP) ## measure what growth buys, with controls (hours)
	$(BIN)/python -m benchmarks.growth

soak: $(STAMP) ## run a platform for half an hour with runs in a loop, and see what grows
	$(BIN)/python -m benchmarks.soak

fuzz: $(STAMP) ## feed 50,000 mutated files to the kernel loader
	$(BIN)/python -m benchmarks.fuzz_artifact

fuzz-api: $(STAMP) ## feed generated requests to the library's API on SQLite and PostgreSQL (20 minutes)
	ESPER_FUZZ_SECONDS=600 $(BIN)/python -m pytest -q -s --override-ini=timeout=0 tests/fuzz/test_urza_api.py

docs: $(STAMP) ## regenerate the generated parts of docs/
	$(BIN)/python -m docs.generate

clean: ## remove the environment and all caches; runs/ stays
	rm -rf .venv build dist .coverage htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
