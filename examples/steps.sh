# shellcheck shell=bash
# What the demos have in common: the sqlite3 shell, expectations, requests, tidying up. A demo's own tools.sh reads it, and says in
# `script` how its SQL files find the server, and in backend_pid which process that is; what it writes to backend.err is shown when
# the demo fails.
# Keeps to what bash 3.2 (macOS) knows; needs neither curl nor netcat.

backend_pid=
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

# Checks the shell and the library, and makes the folder of the demo: $work, with the library as ./libsyncscope.
enter_folder() {
  SQLITE3=$(absolute "${SQLITE3:-sqlite3}")
  LIBRARY=$(absolute "${LIBRARY:?the path of the built library; make demo sets it}")
  command -v "$SQLITE3" >/dev/null || fail "missing: $SQLITE3; e.g. apt-get install sqlite3"
  [ -f "$LIBRARY" ] || fail "missing: $LIBRARY; run make"

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
# The files name the address that one would give the server; here it has another.
shell() {
  local file=$1 database=$2
  shift 2
  printf '\n$ sqlite3 %s < %s\n' "$database" "$file"
  script "$file" | "$SQLITE3" -init /dev/null -batch -bail -echo "$@" "$database" 2>&1 | sed 's/^/  /' ||
    fail "$file failed on $database"
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

# scope DATABASE ID: its state and counts.
scope() {
  plain "$1" "SELECT state, notStarted, syncing, synced, failed FROM _syncScope WHERE id = '$2'"
}

# http METHOD PATH [BODY [HEADER ...]]: one request to the backend at $port, of HTTP/1.0, so that the answer comes in one piece; the body
# of the answer, which must be a 2xx.
http() {
  local answer asked="$1 $2" body=${3:-} headers='' line_end=$'\r\n'
  shift "$(($# < 3 ? $# : 3))"
  [ $# -eq 0 ] || headers=$(printf '%s\r\n' "$@" && printf .)
  exec 3<>"/dev/tcp/127.0.0.1/$port" || fail 'the backend cannot be reached'
  printf '%s HTTP/1.0\r\nHost: 127.0.0.1\r\n%sContent-Length: %s\r\n\r\n%s' \
    "$asked" "${headers%.}" "${#body}" "$body" >&3
  answer=$(cat <&3)
  exec 3>&-
  case $answer in
    'HTTP/1.'[01]' 2'*) printf '%s\n' "${answer#*"$line_end$line_end"}" ;;
    *) fail "$asked: $answer" ;;
  esac
}
