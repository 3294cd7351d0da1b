# shellcheck shell=bash
# What run.sh needs besides the story and ../steps.sh: Datasette, requests to it, comparing.

here=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"
data=$(dirname "$here")/data
tables='airlines airports planes flights'
# For tokens of this demo, which end with it.
secret="demo-$$-$RANDOM$RANDOM"

# Checks what the demo is given, and goes to its folder, with the flights in it.
prepare() {
  local table
  DATASETTE=$(absolute "${DATASETTE:?the installed datasette; make demo-rest sets it}")
  [ -x "$DATASETTE" ] || fail "missing: $DATASETTE; run make servers"
  enter_folder
  for table in $tables; do
    ln -s "$data/$table.csv" .
  done
}

script() {
  sed "s|http://127.0.0.1:8001|http://127.0.0.1:$port|" "$here/$1"
}

# token SECONDS: one that Datasette takes for so long, without a line end.
token() {
  printf '%s' "$("$DATASETTE" create-token device --secret "$secret" --expires-after "$1")"
}

# Starts Datasette on a free port, which is then in $port.
start_datasette() {
  PYTHONUNBUFFERED=1 "$DATASETTE" serve nyc.db --config "$here/datasette.yaml" --secret "$secret" --port "$port" \
    >backend.err 2>&1 &
  backend_pid=$!
  while [ "$port" = 0 ]; do
    kill -0 "$backend_pid" 2>/dev/null || fail 'Datasette did not start'
    sleep 0.1
    port=$(sed -n 's|^.*running on http://127\.0\.0\.1:\([0-9]*\).*$|\1|p' backend.err)
    port=${port:-0}
  done
}

# api METHOD PATH [BODY]: a request to Datasette, as another program makes it; the answer is in answer.json.
api() {
  [ "$1" = GET ] || note "Sent to Datasette: $1 $2 ${3:-}"
  http "$1" "$2" "${3:-}" "Authorization: Bearer $(cat token)" 'Content-Type: application/json' >answer.json
}

# answered PATH: a part of the last answer.
answered() {
  plain :memory: "SELECT CAST(readfile('answer.json') AS TEXT) ->> '$1'"
}

# compare DATABASE: its rows and Datasette's, value by value and type by type, in the columns that both have.
compare() {
  local table columns found said=
  for table in $tables; do
    columns=$(plain "$1" "SELECT group_concat('quote(' || name || ')') FROM pragma_table_info('$table')")
    found=$(plain "$1" "ATTACH 'nyc.db' AS nyc" "SELECT
      (SELECT count(*) FROM (SELECT $columns FROM main.$table EXCEPT SELECT $columns FROM nyc.$table)),
      (SELECT count(*) FROM (SELECT $columns FROM nyc.$table EXCEPT SELECT $columns FROM main.$table)),
      (SELECT count(*) FROM main.$table) - (SELECT count(*) FROM nyc.$table)")
    [ "$found" = '0|0|0' ] || fail "$table differs (rows only here, rows only there, more here): $found"
    said="$said, $table $(plain "$1" "SELECT count(*) FROM $table")"
  done
  printf 'all equal: %s\n' "${said#, }"
}

# rows_given TABLE: how many rows Datasette was given.
rows_given() {
  echo $(($(grep -c '' "$data/$1.csv") - 1))
}
