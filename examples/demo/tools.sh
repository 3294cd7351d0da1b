# shellcheck shell=bash
# What run.sh needs besides the story: the sqlite3 shell, the backend, expectations, tidying up.
# Keeps to what bash 3.2 (macOS) knows; needs neither curl nor netcat.

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=$(dirname "$here")/data
tables='airlines airports planes flights'
backend_pid=
port=8787
sync_pid=
work=

heading() {
  printf '\n%s\n%s\n' "$*" "$(printf '%s' "$*" | sed 's/./=/g')"
}

note() {
  printf '\n%s\n' "$*"
}

fail() {
  printf '\ndemo: %s\n' "$*" >&2
  exit 1
}

# expect WHAT ACTUAL EXPECTED: goes on only if they are equal.
expect() {
  [ "$2" = "$3" ] || fail "$1: expected '$3', found '$2'"
  printf 'checked: %s\n' "$1"
}

# absolute PATH: the same with a folder in front, for the demo works in a folder of its own. A bare name (of a
# program that is on the PATH) stays.
absolute() {
  case $1 in
    /*) printf '%s' "$1" ;;
    */*) printf '%s/%s' "$PWD" "$1" ;;
    *) printf '%s' "$1" ;;
  esac
}

# Checks what the demo is given, and makes its folder: $work, with the library as ./libsyncscope.
prepare() {
  SQLITE3=$(absolute "${SQLITE3:-sqlite3}")
  LIBRARY=$(absolute "${LIBRARY:?the path of the built library; make demo sets it}")
  BACKEND=$(absolute "${BACKEND:?the path of the built example backend; make demo sets it}")
  command -v "$SQLITE3" >/dev/null || fail "missing: $SQLITE3; e.g. apt-get install sqlite3"
  [ -f "$LIBRARY" ] || fail "missing: $LIBRARY; run make"
  [ -x "$BACKEND" ] || fail "missing: $BACKEND; run cargo build --example backend"

  trap tidy_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  work=$(mktemp -d "${TMPDIR:-/tmp}/syncscope-demo.XXXXXX")
  cd "$work" || fail "cannot work in $work"
  ln -s "$LIBRARY" "libsyncscope.${LIBRARY##*.}"

  local said
  said=$(plain :memory: '.load ./libsyncscope' "SELECT '{\"works\":1}'->>'works'" 2>&1) && [ "$said" = 1 ] ||
    fail "$SQLITE3 cannot be used: it must load extensions and be 3.38 or newer. It says: $said"

  if [ "${FULL:-0}" = 1 ]; then
    command -v python3 >/dev/null || fail 'missing: python3; FULL=1 fetches the whole year with it'
    python3 "$data/extract.py" --full "$work/data"
    data=$work/data
  fi
}

tidy_up() {
  local status=$?
  trap - EXIT HUP INT TERM
  [ -z "$sync_pid" ] || kill -9 "$sync_pid" 2>/dev/null || true
  [ -z "$backend_pid" ] || kill "$backend_pid" 2>/dev/null || true
  if [ "$status" -ne 0 ] && [ -s "$work/backend.err" ]; then
    printf 'The backend said:\n' >&2
    tail -n 20 "$work/backend.err" >&2
  fi
  wait 2>/dev/null || true
  cd /
  [ -z "$work" ] || rm -rf "$work"
  exit "$status"
}

# shell FILE DATABASE [OPTION ...]: runs a SQL file in the sqlite3 shell, which shows the SQL and its results.
# The files name the port that the backend has by default; here it has a free one.
shell() {
  local file=$1 database=$2
  shift 2
  printf '\n$ sqlite3 %s < %s\n' "$database" "$file"
  script "$file" | "$SQLITE3" -init /dev/null -batch -bail -echo "$@" "$database" 2>&1 | sed 's/^/  /' ||
    fail "$file failed on $database"
}

script() {
  sed "s|http://127.0.0.1:8787/|http://127.0.0.1:$port/|" "$here/$1"
}

# plain DATABASE STATEMENT ...: asks without showing it. Nothing is loaded unless a statement says so.
plain() {
  "$SQLITE3" -init /dev/null -batch -bail "$@"
}

# pending DATABASE: the local changes that have not gone up, or "nothing".
pending() {
  plain "$1" '.load ./libsyncscope' \
    "SELECT coalesce(group_concat(\"table\" || ' ' || key || ' ' || op || coalesce(' ' || changed, ''), ', '),
                     'nothing')
     FROM sync_pending"
}

# plane DATABASE TAILNUM COLUMNS
plane() {
  plain "$1" "SELECT $3 FROM planes WHERE tailnum = '$2'"
}

# scope DATABASE ID: its state and counts.
scope() {
  plain "$1" "SELECT state, notStarted, syncing, synced, failed FROM _syncScope WHERE id = '$2'"
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

# http METHOD PATH [BODY]: one request to the backend; the body of its answer, which must be a 200.
http() {
  local answer body=${3:-} line_end=$'\r\n'
  exec 3<>"/dev/tcp/127.0.0.1/$port" || fail 'the backend cannot be reached'
  printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %s\r\n\r\n%s' \
    "$1" "$2" "${#body}" "$body" >&3
  answer=$(cat <&3)
  exec 3>&-
  case $answer in
    'HTTP/1.1 200 '*) printf '%s\n' "${answer#*"$line_end$line_end"}" ;;
    *) fail "$1 $2: $answer" ;;
  esac
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
