#!/usr/bin/env bash
# Mirrors a REST API that knows nothing of syncing, Datasette with real flight data, both ways. `make demo-rest` runs it.
#
# From the environment: SQLITE3, the shell; LIBRARY, the built library; DATASETTE, the program.
# Each step checks what it claims; the first claim that does not hold ends the demo with exit code 1.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

port=0
prepare

heading '1. An API with real data'
plain nyc.db <"$data/schema.sql"
shell 1-server.sql nyc.db
token 3600 >token
token -1 >token.expired
start_datasette
note "New York City's flights of 2013 are at http://127.0.0.1:$port/nyc, for those who have a token."
for table in $tables; do
  api GET "/nyc/$table.json?_size=0&_extra=count"
  expect "Datasette has all $table" "$(answered '$.count')" "$(rows_given "$table")"
done

heading '2. A phone with an empty database'
plain phone.db <"$data/schema.sql"
shell 2a-functions.sql phone.db
expect 'a trial keeps nothing' "$(plain phone.db 'SELECT count(*) FROM planes')" 0
shell 2b-first-sync.sql phone.db
expect 'the scope is synced' "$(scope phone.db startup)" 'synced|0|0|4|0'
for table in $tables; do
  expect "all $table have come" "$(plain phone.db "SELECT count(*) FROM $table")" "$(rows_given "$table")"
done

heading "3. News by Datasette's write API"
api POST /nyc/planes/N10156/-/update '{"update":{"seats":60}}'
api POST /nyc/flights/2013-01-01-UA-1545-EWR/-/update '{"update":{"tailnum":"N10156"}}'
api POST /nyc/airports/ISN/-/delete
api POST /nyc/airports/-/insert '{"row":{"faa":"XWA","name":"Williston Basin Intl","lat":48.2597,"lon":-103.7508,"alt":2357,"tz":-6,"dst":"A","tzone":"America/Chicago"}}'
shell 3-news.sql phone.db
expect 'two updates have come' "$(plain phone.db "SELECT seats, flights.tailnum FROM planes, flights
  WHERE planes.tailnum = 'N10156' AND id = '2013-01-01-UA-1545-EWR'")" '60|N10156'
expect 'flights were asked for once, the others page by page' \
  "$(plain phone.db "SELECT summary->>'requests' FROM _syncRun ORDER BY id DESC LIMIT 1")" 8
expect 'an insert and a delete have come' \
  "$(plain phone.db "SELECT group_concat(faa) FROM airports WHERE faa IN ('ISN', 'XWA')")" XWA

heading '4. Edits made on the phone'
shell 4-local-edits.sql phone.db
expect 'nothing is pending' "$(pending phone.db)" nothing
api GET '/nyc/planes/N102UW.json?_shape=objects'
expect 'the update is in Datasette' "$(answered '$.rows[0].seats') $(answered '$.rows[0].speed')" '189 450'
api GET '/nyc/airports/BER.json?_shape=objects'
expect 'the insert is in Datasette' "$(answered '$.rows[0].tzone')" Europe/Berlin
api GET '/nyc/airports.json?faa=04G'
expect 'the delete is in Datasette' "$(answered '$.rows')" '[]'

heading '5. A token that has expired'
shell 5a-expired.sql phone.db
expect 'the scope has failed' "$(scope phone.db refresh)" 'failed|0|0|0|1'
expect 'the reason is there' "$(plain phone.db "SELECT error->>'class', error->>'status' FROM _syncStatus
  WHERE state = 'failed'")" 'auth|401'
expect 'the edit is still pending' "$(pending phone.db)" 'planes N102UW updated ["seats"]'
expect 'no plane is lost' "$(plain phone.db 'SELECT count(*) FROM planes')" "$(rows_given planes)"
shell 5b-again.sql phone.db
expect 'the scope is synced' "$(scope phone.db refresh)" 'synced|0|0|1|0'
api GET '/nyc/planes/N102UW.json?_shape=objects'
expect 'the edit is in Datasette' "$(answered '$.rows[0].seats')" 190

heading '6. The proof'
shell 6-compare.sql phone.db
expect 'nothing is pending' "$(pending phone.db)" nothing
note 'All rows of phone and Datasette, compared:'
compare phone.db
