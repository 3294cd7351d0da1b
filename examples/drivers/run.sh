#!/usr/bin/env bash
# Runs the example of every driver against a real backend and compares what they print with expected.txt.
# `make drivers` builds what it needs and calls it; names of hosts.sh as arguments choose some.
# One line a driver: ok, skipped with what enables it, or failed with the reason.
# With CI=true it installs what is missing, and a skip is a failure. DRIVERS_DIR keeps those downloads.
set -euo pipefail

drivers=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$drivers/../demo/tools.sh"
. "$drivers/hosts.sh"

fail() {
  printf 'drivers: %s\n' "$*" >&2
  exit 1
}

# The seats that the backend has for the plane that every example edits.
seats() {
  http GET '/_dump?table=planes' | sed -n 's/.*"id":"N10156".*"seats":\([0-9]*\).*/\1/p'
}

# What an example printed, without its first line and without what the driver puts around an error's text.
normalised() {
  sed -e 1d -e "s/^refused: .*sync_entities:/refused: sync_entities:/" \
    -e '/^refused: /s/; declare it with sync_provider.*/; declare it with sync_provider/' "$1"
}

# check NAME: runs $run on a new file; prints what is wrong, nothing if all is well.
check() {
  local file=$work/$1.db status=0 before said
  before=$(seats)
  # The answer to the third pull, of the sync that is closed over, would come after a minute.
  http POST /_control '[{"on":"pull","skip":2,"delayMs":60000}]' >/dev/null
  SYNCSCOPE_LIBRARY=$LIBRARY SYNCSCOPE_BACKEND=http://127.0.0.1:$port/sync \
    bounded 120 "${run[@]}" "$file" >"$1.out" 2>"$1.err" </dev/null || status=$?
  http POST /_control '[]' >/dev/null
  [ "$status" = 0 ] || { echo "exit status $status"; tail -n 20 "$1.out" "$1.err"; return; }
  head -n 1 "$1.out" | grep -Eq '^syncscope v[0-9.]+, SQLite 3\.[0-9.]+, .' || echo 'the first line is another'
  normalised "$1.out" | diff "$drivers/expected.txt" - || true
  [ "$(seats)" = $((before + 1)) ] || echo "the edit is not in the backend: seats were $before, are $(seats)"

  # A program without the extension finds a sound file, work that was stopped and nothing locked.
  said=$(plain "$file" 'PRAGMA integrity_check' \
    "SELECT state, details->'interruption'->>'reason' FROM _syncScope" \
    "UPDATE planes SET seats = seats WHERE tailnum = 'N10156' RETURNING 1" 2>&1) || true
  [ "$said" = $'ok\ninterrupted|closed\n1' ] || echo "another program, without the extension: $said"
  # A program with the extension, of another SQLite, goes on from there.
  said=$(plain "$file" ".load ./libsyncscope" \
    "SELECT sync_entities('reference-data', 'airline-api', '[\"airlines\",\"planes\"]')->>'state'" \
    "SELECT state FROM _syncScope" 2>&1) || true
  [ "$said" = $'synced\nsynced' ] || echo "another program, with the extension: $said"
}

prepare
downloads=${DRIVERS_DIR:-$work/downloads}
mkdir -p "$downloads"
[ "${CI:-}" != true ] || install_missing
start_backend
[ -n "$(seats)" ] || fail 'the backend does not have the plane N10156'

ok=0 failed=0 skipped=0
# shellcheck disable=SC2086 # the names are words
[ $# -gt 0 ] || set -- $names
for name; do
  missing=missing_$name
  run=()
  if ! "ready_$name"; then
    skipped=$((skipped + 1))
    printf 'skipped  %s: needs %s\n' "$name" "${!missing}"
    continue
  fi
  wrong=$(check "$name")
  if [ -n "$wrong" ]; then
    failed=$((failed + 1))
    printf 'failed   %s: %s\n' "$name" "$wrong"
    continue
  fi
  ok=$((ok + 1))
  printf 'ok       %s: %s\n' "$name" "$(head -n 1 "$name.out")"
done
printf 'drivers: %s ok, %s failed, %s skipped\n' $ok $failed $skipped
[ $failed = 0 ] || exit 1
[ $skipped = 0 ] || [ "${CI:-}" != true ] || fail 'with CI=true none may be skipped'
