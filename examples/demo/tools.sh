# shellcheck shell=bash
# What run.sh needs besides the story and ../steps.sh: the reference backend, its faults, comparing.

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"
data=$(dirname "$here")/data
tables='airlines airports planes flights'
# Until it is known where the backend listens, scripts name the usual place.
port=8787

# Checks what the demo is given, and goes to its folder.
prepare() {
  BACKEND=$(absolute "${BACKEND:?the path of the built example backend; make demo sets it}")
  [ -x "$BACKEND" ] || fail "missing: $BACKEND; run cargo build --example backend"
  enter_folder

  if [ "${FULL:-0}" = 1 ]; then
    command -v python3 >/dev/null || fail 'missing: python3; FULL=1 fetches the whole year with it'
    python3 "$data/extract.py" --full "$work/data"
    data=$work/data
  fi
}

script() {
  sed "s|http://127.0.0.1:8787/|http://127.0.0.1:$port/|" "$here/$1"
}

# plane DATABASE TAILNUM COLUMNS
plane() {
  plain "$1" "SELECT $3 FROM planes WHERE tailnum = '$2'"
}

# Starts the backend on a free port, which is then in $port.
start_backend() {
  local table files=()
  for table in $tables; do
    files+=(--csv "$table=$data/$table.csv")
  done
  "$BACKEND" --port 0 --db backend.db --schema "$here/../data/schema.sql" "${files[@]}" \
    >backend.out 2>backend.err &
  backend_pid=$!
  port=
  while [ -z "$port" ]; do
    kill -0 "$backend_pid" 2>/dev/null || fail 'the backend did not start'
    sleep 0.1
    port=$(sed -n 's|^listening on http://127\.0\.0\.1:\([0-9]*\)$|\1|p' backend.out)
  done
}

# misbehave FAULTS: a JSON list of faults, see examples/backend/faults.rs; [] is good behaviour.
misbehave() {
  note "Sent to the backend: $1"
  http POST /_control "$1" >/dev/null
}

# kill_sync_at_push FILE DATABASE: runs the file in a process that is killed when its push has reached the
# backend and waits for the answer.
kill_sync_at_push() {
  local tries=0
  script "$1" >killed.sql
  printf '\n$ sqlite3 %s < %s\n' "$2" "$1"
  sed 's/^/  /' killed.sql
  "$SQLITE3" -init /dev/null -batch -bail "$2" <killed.sql >killed.out 2>&1 &
  sync_pid=$!
  # The fault is for one push; it is gone from the list when that push is there.
  while [ "$(http GET /_control)" != '[]' ]; do
    tries=$((tries + 1))
    if [ $tries -gt 1200 ] || ! kill -0 "$sync_pid" 2>/dev/null; then
      fail "no push has reached the backend: $(cat killed.out)"
    fi
    sleep 0.1
  done
  kill -9 "$sync_pid" || fail 'the sync was over before it could be killed'
  wait "$sync_pid" 2>/dev/null || true
  sync_pid=
  printf '  Killed\n'
}

# rows DATABASE TABLE: all rows, sorted by the key, as SQL literals: NULL, 5, 5.0 and '5' differ.
rows() {
  plain "$1" '.mode quote' "SELECT * FROM $2 ORDER BY 1"
}

# compare DATABASE DATABASE DATABASE: all rows of all tables; fails at the first difference.
compare() {
  local table other count checksum said=
  for table in $tables; do
    rows "$1" "$table" >rows.first
    for other in "$2" "$3"; do
      rows "$other" "$table" >rows.other
      cmp rows.first rows.other >/dev/null ||
        fail "$table differs in $1 and $other:
$(diff rows.first rows.other | head -n 10)"
    done
    count=$(plain "$1" "SELECT count(*) FROM $table")
    checksum=$(cksum <rows.first)
    printf '  %-9s %7s rows, checksum %s\n' "$table" "$count" "${checksum%% *}"
    said="$said, $table $count"
  done
  printf 'all equal: %s\n' "${said#, }"
}

# rows_given TABLE: how many rows the backend was given.
rows_given() {
  echo $(($(grep -c '' "$data/$1.csv") - 1))
}
