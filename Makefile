# What one does in this repository. `make` alone lists it.
#
# PYTHON=3.12 (or a command, or a path) picks another interpreter, in an environment of its own.
# ARGS="..." is handed to what is run: pytest's, the demo's or the benchmark's options.

SHELL := bash
PYTHON ?=
ARGS ?=
TIME ?= 600
TARGET ?= store

ifeq ($(PYTHON),)
ENV := .venv
else
INTERPRETER := $(or $(shell scripts/find-python $(PYTHON)),$(error PYTHON=$(PYTHON) cannot be used))
ENV := .venvs/$(shell $(INTERPRETER) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif

# The environment that uv makes and every recipe runs in.
export UV_PROJECT_ENVIRONMENT := $(ENV)
run := $(ENV)/bin/python -m
sync := sync --all-groups $(if $(PYTHON),--python $(INTERPRETER))
# The examples and the typing tests are types of real usage: mypy and pyright read them as well.
typed := python examples benchmarks fuzz/envelope.py $(wildcard test/typing)

# Options of libFuzzer's: what a hostile server sends must not be what is allocated.
fuzzing.connection := -dict=fuzz/connection.dict -malloc_limit_mb=16 -rss_limit_mb=512

.DEFAULT_GOAL := help
.PHONY: help build demo demo-resilience demo-batching demo-fleet test test-core test-python test-cachetools fuzz bench bench-guard bench-mapping acceptance-redis lint clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  PYTHON=3.12 picks another interpreter; ARGS="..." is handed to what is run.'

build: ## build the native module and an environment to use it in (.venv)
	@uv=$$(scripts/find-uv) && "$$uv" $(sync) && \
	  { $(ENV)/bin/python -c 'import aiocachetools' 2>/dev/null || \
	    "$$uv" $(sync) --reinstall-package aiocachetools; }

demo: build ## serve 10,000 requests from a real database: uncached, with a peer, with aiocachetools
	@$(run) examples.demo $(ARGS)

demo-resilience: build ## a FastAPI service whose upstream is slow and then down, with a cache and without
	@$(run) examples.resilience $(ARGS)

demo-batching: build ## pages of posts and their authors: a query each, cached, and in batches
	@$(run) examples.batching $(ARGS)

demo-fleet: build ## four processes share a cache in Valkey, through a crash and an outage
	@$(run) examples.fleet $(ARGS)

test: test-core test-python ## run all tests, Rust's and Python's

test-core: ## run the tests of what is Rust alone
	cargo test --package aiocachetools-core --package aiocachetools-redis

test-python: build ## run the package's tests (pytest)
	$(run) pytest $(ARGS)

test-cachetools: build ## run cachetools' own tests with the native classes in the place of its classes
	scripts/test-cachetools $(ENV)/bin/python $(ARGS)

fuzz: ## fuzz TARGET=store, connection or envelope for ten minutes (TIME=60 for less; see CONTRIBUTING.md)
ifeq ($(TARGET),envelope)
fuzz: build
	@$(ENV)/bin/python fuzz/envelope.py --seconds $(TIME) $(ARGS)
else
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs cargo-fuzz: cargo install cargo-fuzz" >&2; exit 1; }
	RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir fuzz --sanitizer none $(TARGET) -- -max_total_time=$(TIME) $(fuzzing.$(TARGET)) $(ARGS)
endif

bench: build ## compare with peers, as ratios to a bare await (ARGS=--quick for a first look)
	@uv=$$(scripts/find-uv) && UV="$$uv" $(run) benchmarks.bench $(ARGS)

bench-mapping: build ## compare the native caches, as mappings, with those of cachetools and cachebox
	@uv=$$(scripts/find-uv) && UV="$$uv" $(run) benchmarks.mapping $(ARGS)

bench-guard: build ## compare the instructions per call with those stored, by valgrind (ARGS=--update stores)
	@$(run) benchmarks.guard $(ARGS)

acceptance-redis: build ## count and measure what the Redis tier promises (ARGS="cold kill race outage hit throughput")
	@uv=$$(scripts/find-uv) && UV="$$uv" $(run) benchmarks.redis $(ARGS)

lint: export PYO3_PYTHON := $(abspath $(ENV)/bin/python)
lint: build ## check format, style and types of everything
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --package aiocachetools-core --package aiocachetools-redis
	$(run) ruff check
	$(run) ruff format --check
	$(run) mypy --strict $(typed)
	$(run) pyright --warnings --pythonpath $(ENV)/bin/python
	MYPYPATH=python $(run) mypy.stubtest aiocachetools --allowlist test/typing/stubtest-allowlist.txt

clean: ## remove everything that was built or installed here
	rm -rf .venv .venvs .tools target python/aiocachetools/*.so
