#!/usr/bin/env tclsh
# Syncs two tables through Tcl's package sqlite3 (Debian's libsqlite3-tcl).
#
# usage: tclsh example.tcl [FILE]    without FILE, in a temporary one
# environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint

package require sqlite3

set schema {
    CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
}

proc example {file} {
    sqlite3 db $file
    set library $::env(SYNCSCOPE_LIBRARY)
    db enable_load_extension 1
    db eval {SELECT load_extension($library)}
    db enable_load_extension 0
    # A background sync writes through a connection of its own: wait for it rather than fail.
    db timeout 5000
    # onecolumn gives the first column of the first row.
    puts "syncscope [db onecolumn {SELECT sync_version()}], SQLite [db version], sqlite3 of Tcl [info patchlevel]"

    db eval $::schema
    set url $::env(SYNCSCOPE_BACKEND)
    db eval {SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', $url))}
    db eval {SELECT sync_track('airlines')}
    db eval {SELECT sync_track('planes')}

    # The first sync runs in the background; the tables show its progress.
    db eval {SELECT sync_start_scope('startup', '["reference-data"]')}
    set state [db onecolumn {
        SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')->>'state'
    }]
    puts "first sync: $state"
    while {[db onecolumn {SELECT state FROM _syncScope WHERE id = 'startup'}] eq "syncing"} { after 50 }
    lassign [db eval {SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'}] state synced failed
    puts "scope startup: $state, $synced synced, $failed failed"
    db eval {SELECT entity, coalesce(error, state) AS said FROM _syncStatus ORDER BY entity} {
        puts "status $entity: $said"
    }
    if {$state ne "synced"} { error "the first sync failed" }
    puts "rows: [db onecolumn {SELECT count(*) FROM airlines}] airlines,\
        [db onecolumn {SELECT count(*) FROM planes}] planes"

    # An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
    set tailnum N10156
    db eval {UPDATE planes SET seats = seats + 1 WHERE tailnum = $tailnum}
    db eval {SELECT "table" AS name, key, changed FROM sync_pending} {
        puts "edited: $name $key $changed"
    }
    set pushed [db onecolumn {
        SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'
    }]
    set pending [db onecolumn {SELECT count(*) FROM sync_pending}]
    puts "second sync: $pushed pushed, $pending pending"
    if {$pending != 0} { error "the second sync failed" }

    # A call that is wrong is an error. (A sync that fails is not: see _syncStatus.error.)
    try {
        db eval {SELECT sync_entities('reference-data', 'nope', '["planes"]')}
    } on error message {
        puts "refused: $message"
    }

    # Closing stops a sync that is under way; the next sync makes up for it.
    db eval {SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')}
    db close
    puts closed
}

if {$argc > 0} {
    example [lindex $argv 0]
} else {
    close [file tempfile file syncscope.db]
    try { example $file } finally { file delete $file }
}
