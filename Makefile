# The only entry: everything is set up by the targets themselves, in .venv.

PYTHON ?= python3
DATA := data
BIN := .venv/bin
JOBS ?= 2

# Containers often set this. Each of the many commands that tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-slow test-pythons test-fault soak fuzz lint format types unit wheel wheels bench bench-peers bench-check clean

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

# To run takes the package alone; what tests need is installed on top of it. The pip of the Python at hand
# installs, where it can: to have one in each environment takes as long as all the rest.
.venv/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --python $(BIN)/python --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip > /dev/null
	$(INSTALL) --editable .
	@touch $@

.venv/ready-to-test: .venv/ready
	$(INSTALL) --editable '.[test]'
	@touch $@

INSTALL = $$($(PYTHON) -m pip --python $(BIN)/python --version > /dev/null 2>&1 && \
  echo $(PYTHON) -m pip --python $(BIN)/python || echo $(BIN)/python -m pip) install --quiet --no-compile

run: .venv/ready ## Make a sample feed, load the tracked wallets' deals into SQLite, show what was found.
	@mkdir -p $(DATA)
	@test -f $(DATA)/sample.json.zst || \
	  $(BIN)/etl sample deals --records 200000 --seed 1 --output $(DATA)/sample.json.zst
	$(BIN)/etl run deals --source $(DATA)/sample.json.zst --database sqlite:///$(DATA)/deals.db \
	  --client f01000 --client f01001 --client f01002 --head-epoch 4200000

test: lint types unit wheel ## Lint, check types, run the tests, and test the built wheel (about 6 minutes).

test-slow: .venv/ready-to-test ## Run the tests with every example, every byte, every command anew (about 20 minutes).
	THOROUGH=1 $(PYTEST)

PYTEST = $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

lint: .venv/ready-to-test ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/ready-to-test ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: .venv/ready-to-test ## Check types.
	$(BIN)/mypy

unit: .venv/ready-to-test ## Run the tests alone, on two processes (JOBS).
	$(PYTEST)

test-pythons: ## Run the tests on every Python from 3.11 on that is here, each in an environment of its own.
	$(PYTHON) tests/pythons.py

wheels: .venv/ready-to-test ## Check that all we require is there as wheels, for every Python and system we name.
	$(BIN)/python -m tests.wheels

test-fault: .venv/ready-to-test ## Kill, cut, fill and lock whatever a run needs, again and again (about 30 minutes).
	FAULT_CASES=$${FAULT_CASES:-20} $(BIN)/python -m pytest tests/fault

soak: .venv/ready-to-test ## Two hundred rounds of the service under random kills (about 5 minutes).
	$(BIN)/python -m tests.fault.soak

fuzz: .venv/ready-to-test ## Damage feeds at random, and hold what is made of them to a plain reading (10 minutes).
	$(BIN)/python -m tests.fuzz

wheel: .venv/ready-to-test ## Build the wheel, and run the command from it in an environment of its own.
	$(BIN)/python -m tests.wheel

# To make the feeds takes some minutes more, once; `python -m bench --help` tells the parts.
bench: .venv/ready-to-test ## Measure speed and memory against zstd on this machine (about 8 minutes, 10 GB of disk).
	@mkdir -p $(DATA)/bench
	$(BIN)/python -m bench --json $(DATA)/bench/bench.json

# Each by itself: what cannot be installed here shows as such in the table.
.venv-peers/ready: bench/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	grep -v '^#' $< | while read -r line; do \
	  .venv-peers/bin/python -m pip install --quiet "$$line" || echo "not installed: $$line" >&2; \
	done
	@touch $@

BENCH_RECORDS ?= 2000000

bench-peers: .venv/ready-to-test .venv-peers/ready ## Measure other systems at the same work (about 9 minutes, 5 GB of disk).
	@mkdir -p $(DATA)/bench
	$(BIN)/python -m bench.peers --records $(BENCH_RECORDS) \
	  --json $(DATA)/bench/peers-$(BENCH_RECORDS).json --chart $(DATA)/bench/peers-$(BENCH_RECORDS).svg

bench-check: .venv/ready-to-test ## Fail if the main ratios are not those of bench/recorded.json (about 1 minute).
	$(BIN)/python -m bench.check

clean: ## Remove everything that the other targets made.
	rm -rf .venv .venv-pythons .venv-peers build dist $(DATA) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
