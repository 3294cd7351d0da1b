# syncscope: what one can type. `make help` lists it.
#
# Needed: Rust (cargo), a C compiler, sqlite3, make, git. Each target says what is missing.

CARGO   ?= cargo
SQLITE3 ?= sqlite3
DIST    := dist
SYSTEM  := $(shell uname -s)
# The same for every target: the library is built anew when the commit it names changes.
RELEASE  = SYNCSCOPE_COMMIT=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) $(CARGO) build --release
# Programs of examples/, as `cargo test` builds them too.
EXAMPLES = $${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/examples

# What pip writes last.
PACKAGES         := tests/python/venv/installed
SERVED_BY_PYTHON := tests/python/venv/servers

ifeq ($(SYSTEM),Darwin)
FILE := libsyncscope.dylib
else
FILE := libsyncscope.so
endif

.DEFAULT_GOAL := loadable
.PHONY: loadable demo demo-rest drivers migrations test test-sql oracle node-modules own-backends servers pocketbase schedules settings valgrind fuzz bench bench-kinds bench-peers bench-rest lint clean \
        help check-cargo check-cc check-cxx check-sqlite3 check-npm check-go check-python check-loading check-valgrind check-venv

loadable: check-cargo check-cc ## build the loadable file into dist/
	@$(RELEASE) --lib --package sqlite-syncscope
	@mkdir -p $(DIST)
# Written beside and renamed: a program that has the file loaded crashes when its content changes.
	@cp "$${CARGO_TARGET_DIR:-target}/release/$(FILE)" $(DIST)/.$(FILE).$$$$ && mv -f $(DIST)/.$(FILE).$$$$ $(DIST)/$(FILE)
	@echo "$(DIST)/$(FILE) is ready: sqlite3 app.db, then .load ./$(DIST)/libsyncscope"

demo: loadable check-sqlite3 ## sync two files, then real flight data with a real backend; break it, mend it
	@$(CARGO) build --example backend
	@SQLITE3="$(SQLITE3)" LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" BACKEND="$(EXAMPLES)/backend" \
	  bash examples/demo/run.sh

demo-rest: loadable check-sqlite3 $(SERVED_BY_PYTHON) ## mirror a REST API of others, Datasette with the flight data, both ways
	@SQLITE3="$(SQLITE3)" LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" DATASETTE="$(CURDIR)/tests/python/venv/bin/datasette" \
	  bash examples/demo-rest/run.sh

drivers: loadable check-sqlite3 ## run the example of every language that is installed here
	@$(CARGO) build --example backend --example rusqlite
	@SQLITE3="$(SQLITE3)" LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" \
	  BACKEND="$(EXAMPLES)/backend" RUSQLITE="$(EXAMPLES)/rusqlite" bash examples/drivers/run.sh

migrations: loadable ## run real migration tools on tables with waiting changes; SYNCSCOPE_MIGRATIONS=install installs them below target/
	@LIBRARY="$(CURDIR)/$(DIST)/libsyncscope" bash tests/migrations/run.sh

test: check-cargo check-cc check-sqlite3 ## run all tests; SYNCSCOPE_WHOLE=1 has the long ones try every case, SYNCSCOPE_WHOLE=sync,capture those of some programs or modules
	@$(CARGO) test --workspace --no-fail-fast

test-sql: check-cargo check-cc check-sqlite3 ## run the SQL scripts of tests/sql only
	@$(CARGO) test --test sql

oracle: check-cargo check-cc node-modules ## compare 10,000 random cases with the WatermelonDB client
	@SYNCSCOPE_ORACLE_CASES=$${SYNCSCOPE_ORACLE_CASES:-10000} \
	  $(CARGO) test --test oracle -- --nocapture

# What npm writes last.
NODE_MODULES := tests/node/node_modules/.package-lock.json

node-modules: $(NODE_MODULES) ## install the real WatermelonDB, for what compares with it

# Without Node's headers at hand, npm would fetch them to compile better-sqlite3.
$(NODE_MODULES): tests/node/package.json tests/node/package-lock.json | check-npm
	@prefix=$$(dirname "$$(dirname "$$(command -v node)")"); \
	  if [ -e "$$prefix/include/node/node.h" ]; then export npm_config_nodedir="$$prefix"; fi; \
	  npm ci --prefix tests/node --no-fund --no-audit --loglevel=error
	@touch $(NODE_MODULES)

own-backends: node-modules $(PACKAGES) ## install FastAPI and Express, for the tests of examples/own

$(PACKAGES): tests/python/requirements.txt | check-venv
	@python3 -m venv --clear tests/python/venv
	@tests/python/venv/bin/pip install --quiet --disable-pip-version-check -r tests/python/requirements.txt
	@touch $(PACKAGES)

SERVED_BY_NODE := tests/servers/node_modules/.package-lock.json

servers: $(SERVED_BY_PYTHON) $(SERVED_BY_NODE) ## install Kinto, Datasette and json-server, for tests/servers

$(SERVED_BY_PYTHON): tests/servers/requirements.txt $(PACKAGES)
	@tests/python/venv/bin/pip install --quiet --disable-pip-version-check -r tests/servers/requirements.txt
	@touch $(SERVED_BY_PYTHON)

$(SERVED_BY_NODE): tests/servers/package.json tests/servers/package-lock.json | check-npm
	@npm ci --prefix tests/servers --no-fund --no-audit --loglevel=error
	@touch $(SERVED_BY_NODE)

POCKETBASE := tests/servers/pocketbase/pocketbase

pocketbase: $(POCKETBASE) ## build PocketBase with Go, for tests/servers (about two minutes of one processor)

$(POCKETBASE): tests/servers/pocketbase/main.go tests/servers/pocketbase/go.mod tests/servers/pocketbase/go.sum | check-go
# Without optimising it: it is only synced with, and its SQLite is large.
	@cd tests/servers/pocketbase && go build -gcflags='all=-N -l' -ldflags='-s -w' -o pocketbase .

SYNCSCOPE_SCHEDULES ?= 10000
# Those of three files in a ring, a chain or a star: each has dozens of syncs.
FILE_SCHEDULES ?= 200

schedules: check-cargo check-cc ## 10,000 random schedules of each kind and protocol, 200 of several files: edits, faults, kills, constraints, migrations; SYNCSCOPE_SCHEDULES=n, FILE_SCHEDULES=n for other numbers
	@if [ -d /dev/shm ]; then export TMPDIR=/dev/shm; fi; \
	  SYNCSCOPE_SCHEDULES=$(SYNCSCOPE_SCHEDULES) $(CARGO) test --test sync --test oversync -- schedules:: random:: && \
	  SYNCSCOPE_SCHEDULES=$(FILE_SCHEDULES) $(CARGO) test --test sqlite -- random_schedules

# Tests of the rules of real tables are named by letter and number.
RULES = $(foreach letter,v h t z a,$(foreach number,1 2 3 4 5 6 7 8 9 10 11,::$(letter)$(number)_))

settings: check-cargo check-cc ## tests of the rules with foreign keys and recursive triggers on and off, and both journals
	@if [ -d /dev/shm ]; then export TMPDIR=/dev/shm; fi; \
	  for keys in ON OFF; do for recursive in ON OFF; do for journal in WAL DELETE; do \
	    export SYNCSCOPE_SETTINGS="PRAGMA foreign_keys = $$keys; PRAGMA recursive_triggers = $$recursive; PRAGMA journal_mode = $$journal;"; \
	    echo "$$SYNCSCOPE_SETTINGS"; \
	    $(CARGO) test --test values --test sync --test scopes -- $(RULES) || exit 1; \
	  done; done; done

valgrind: check-cargo check-cc check-sqlite3 check-valgrind ## run the SQL scripts of tests/sql under valgrind: no error, no lost memory
	@SYNCSCOPE_VALGRIND=1 $(CARGO) test --test sql -- --nocapture

FUZZ_SECONDS ?= 60

fuzz: check-cargo check-cc check-cxx ## feed the readers with mutated input; FUZZ_SECONDS=n for each target, FUZZ_TARGETS="pull url" for some
	@bash fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

bench: loadable ## what syncscope costs, as ratios to plain SQLite
	@SYNCSCOPE_LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" $(CARGO) bench --bench speed

PYTHON ?= python3

bench-kinds: loadable ## what a sync costs a device by kind of provider; SIZES=25000,100000
	@$(RELEASE) --example backend
	@LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" BACKEND="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/examples/backend" \
	  $(PYTHON) benches/kinds.py

PEERS := benches/peers

# ROUNDS, ROWS, SIZES and JSON (a file for the figures) are passed on; see benches/peers/run.js.
bench-peers: loadable node-modules $(PEERS)/data/flights.csv ## beside WatermelonDB on Node; ROUNDS=n for another number than 3
	@$(RELEASE) --example backend
	@LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" DATA="$(CURDIR)/$(PEERS)/data" \
	  BACKEND="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/examples/backend" \
	  node $(PEERS)/run.js

REST := benches/rest

# ROUNDS, ROWS, PAGE and CLIENTS are passed on; see benches/rest/run.py.
bench-rest: loadable $(REST)/venv/installed $(PEERS)/data/flights.csv ## a paged mirror beside dlt and a Python loop; ROWS=100000 ROUNDS=3
	@LIBRARY="$(CURDIR)/$(DIST)/$(FILE)" FLIGHTS="$(CURDIR)/$(PEERS)/data/flights.csv" $(REST)/venv/bin/python $(REST)/run.py

$(REST)/venv/installed: $(REST)/requirements.txt | check-loading
	@$(PYTHON) -m venv --clear $(REST)/venv
	@$(REST)/venv/bin/pip install --quiet --disable-pip-version-check -r $(REST)/requirements.txt
	@touch $(REST)/venv/installed

# The script checks what it fetches, and writes the flights last.
$(PEERS)/data/flights.csv: | check-python
	@python3 examples/data/extract.py --full $(PEERS)/data

.DELETE_ON_ERROR:

lint: check-cargo ## formatting and clippy, warnings are errors; the fuzz targets' lock file is up to date
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null || \
	  { echo "fuzz/Cargo.lock is behind Cargo.toml: cargo metadata --manifest-path fuzz/Cargo.toml mends it"; exit 1; }

clean: ## remove what was built
	@$(CARGO) clean
	@rm -rf $(DIST)

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

check-cargo:
	@command -v $(CARGO) >/dev/null || { echo "missing: cargo; install Rust (rustup.rs)"; exit 1; }

check-cc:
	@command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || \
	  { echo "missing: a C compiler; e.g. apt-get install gcc"; exit 1; }

check-cxx:
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  { echo "missing: a C++ compiler; e.g. apt-get install g++"; exit 1; }

check-valgrind:
	@command -v valgrind >/dev/null || { echo "missing: valgrind; e.g. apt-get install valgrind"; exit 1; }

check-npm:
	@command -v npm >/dev/null || { echo "missing: npm; install Node 20 or newer"; exit 1; }

check-go:
	@command -v go >/dev/null || { echo "missing: go; install Go 1.26 or newer"; exit 1; }

check-python:
	@python3 -m pip --version >/dev/null 2>&1 || { echo "missing: python3 with pip"; exit 1; }

check-venv:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: python3 with venv; e.g. apt-get install python3-venv"; exit 1; }

check-loading:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: $(PYTHON) with venv; e.g. apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sqlite3; sqlite3.Connection.enable_load_extension' 2>/dev/null || \
	  { echo "the sqlite3 of $(PYTHON) loads no extensions; try PYTHON=/usr/bin/python3 make $(MAKECMDGOALS)"; exit 1; }

check-sqlite3:
	@command -v $(SQLITE3) >/dev/null || { echo "missing: sqlite3; e.g. apt-get install sqlite3"; exit 1; }

