#!/usr/bin/env bash
# Runs real migration tools on tables with waiting changes: see docs/migrations.md. What they need is installed below
# target/ with SYNCSCOPE_MIGRATIONS=install, which CI sets; a tool that is missing is skipped in one line, and under
# CI=true that is a failure.
#
# LIBRARY: the loadable file, without its ending.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/migrations
room=${CARGO_TARGET_DIR:-$PWD/target}/migrations
mkdir -p "$room/run"
install=${SYNCSCOPE_MIGRATIONS:-}
skipped=0

skip() { # skip TOOL WHY
  echo "skip $1: $2; SYNCSCOPE_MIGRATIONS=install make migrations installs it below target/"
  skipped=$((skipped + 1))
}

# Debian's Python: its sqlite3 can load extensions.
venv=$room/venv
packages=$here/requirements.txt
if [ "$install" = install ] && ! cmp -s "$packages" "$venv/installed"; then
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --requirement "$packages"
  cp "$packages" "$venv/installed"
fi
node=$room/node
if [ "$install" = install ] && ! cmp -s "$here/package.json" "$node/package.json"; then
  mkdir -p "$node"
  cp "$here/package.json" "$node/package.json.new"
  mv "$node/package.json.new" "$node/package.json"
  npm install --prefix "$node" --no-fund --no-audit --loglevel=error >/dev/null || rm "$node/package.json"
fi

export SYNCSCOPE_LIBRARY=$LIBRARY NODE_FOLDER=$node PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
cd "$room/run"
rm -rf ./*

python() { # python TOOL MODULE SCRIPT
  if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "import $2" 2>/dev/null; then
    "$venv/bin/python" "$here/$3"
  else
    skip "$1" "not installed"
  fi
}
python Django django with_django.py
python Alembic alembic with_alembic.py
python sqlite-utils sqlite_utils with_sqlite_utils.py

if [ -x "$node/node_modules/.bin/drizzle-kit" ]; then
  ln -s "$node/node_modules" node_modules
  "${venv}/bin/python" "$here/with_drizzle.py"
else
  skip drizzle-kit "not installed"
fi

if ruby -e 'require "active_record"; require "sqlite3"' 2>/dev/null; then
  ruby "$here/with_active_record.rb"
else
  echo "skip ActiveRecord: not installed; apt-get install ruby-activerecord ruby-sqlite3, or the gems, bring it"
  skipped=$((skipped + 1))
fi

if [ "$skipped" -gt 0 ] && [ "${CI:-}" = true ]; then
  echo "$skipped tools were skipped"
  exit 1
fi
