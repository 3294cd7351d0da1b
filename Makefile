# syncscope: what one can type. `make help` lists it.
#
# Needed: Rust (cargo), a C compiler, sqlite3, make, git. Each target says what is missing.

CARGO   ?= cargo
SQLITE3 ?= sqlite3
DIST    := dist
SYSTEM  := $(shell uname -s)

ifeq ($(SYSTEM),Darwin)
FILE := libsyncscope.dylib
else
FILE := libsyncscope.so
endif

.DEFAULT_GOAL := loadable
.PHONY: loadable demo test test-sql schedules bench lint clean help check-cargo check-cc check-sqlite3

loadable: check-cargo check-cc ## build the loadable file into dist/
	@SYNCSCOPE_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) $(CARGO) build --release --lib
	@mkdir -p $(DIST)
	@cp "$${CARGO_TARGET_DIR:-target}/release/$(FILE)" $(DIST)/
	@echo "$(DIST)/$(FILE) is ready: sqlite3 app.db, then .load ./$(DIST)/libsyncscope"

demo: loadable check-sqlite3 ## sync real flight data with a real backend, break it, mend it
	@$(CARGO) build --release --example backend
	@SQLITE3="$(SQLITE3)" LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" \
	  BACKEND="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/examples/backend" \
	  bash examples/demo/run.sh

test: check-cargo check-cc check-sqlite3 ## run all tests
	@$(CARGO) test --workspace --no-fail-fast

test-sql: check-cargo check-cc check-sqlite3 ## run the SQL scripts of tests/sql only
	@$(CARGO) test --test sql_scripts

SYNCSCOPE_SCHEDULES ?= 5000

schedules: check-cargo check-cc ## 5000 random schedules of edits, faults and kills; SYNCSCOPE_SCHEDULES=n for another number
	@if [ -d /dev/shm ]; then export TMPDIR=/dev/shm; fi; \
	  SYNCSCOPE_SCHEDULES=$(SYNCSCOPE_SCHEDULES) $(CARGO) test --test sync_schedules

bench: loadable ## what capture costs, as ratios to plain SQLite
	@SYNCSCOPE_LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" $(CARGO) bench --bench capture

lint: check-cargo ## formatting and clippy, warnings are errors
	@$(CARGO) fmt --check
	@$(CARGO) clippy --all-targets -- -D warnings

clean: ## remove what was built
	@$(CARGO) clean
	@rm -rf $(DIST)

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

check-cargo:
	@command -v $(CARGO) >/dev/null || { echo "missing: cargo; install Rust (rustup.rs)"; exit 1; }

check-cc:
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || \
	  { echo "missing: a C compiler; e.g. apt-get install gcc"; exit 1; }

check-sqlite3:
	@command -v $(SQLITE3) >/dev/null || { echo "missing: sqlite3; e.g. apt-get install sqlite3"; exit 1; }
