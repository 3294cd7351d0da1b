"""Syncs two tables through Python's own sqlite3 module.

usage: with_sqlite3.py [FILE]    without FILE, in a temporary one
environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint
"""

import os
import sqlite3
import sys
import tempfile
import time

SCHEMA = """
CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
"""


def connect(file):
    # isolation_level=None: else an UPDATE opens a transaction, and a sync refuses to wait inside one.
    db = sqlite3.connect(file, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(os.environ["SYNCSCOPE_LIBRARY"])
    db.enable_load_extension(False)
    return db


def one(db, sql, *parameters):
    """The first column of the only row."""
    return db.execute(sql, parameters).fetchone()[0]


def example(file):
    db = connect(file)
    version = sys.version.split()[0]
    print(f"syncscope {one(db, 'SELECT sync_version()')}, SQLite {sqlite3.sqlite_version}, sqlite3 of Python {version}")

    db.executescript(SCHEMA)
    one(db, "SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))",
        os.environ["SYNCSCOPE_BACKEND"])
    one(db, "SELECT sync_track('airlines')")
    one(db, "SELECT sync_track('planes')")

    # The first sync runs in the background; the tables show its progress.
    one(db, """SELECT sync_start_scope('startup', '["reference-data"]')""")
    state = one(db, """SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                            '{"background":true}')->>'state'""")
    print("first sync:", state)
    while one(db, "SELECT state FROM _syncScope WHERE id = 'startup'") == "syncing":
        time.sleep(0.05)
    for state, synced, failed in db.execute("SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'"):
        print(f"scope startup: {state}, {synced} synced, {failed} failed")
    for entity, state, error in db.execute("SELECT entity, state, error FROM _syncStatus ORDER BY entity"):
        print(f"status {entity}: {error or state}")
    if state != "synced":
        raise RuntimeError("the first sync failed")
    print("rows:", one(db, "SELECT count(*) FROM airlines"), "airlines,",
          one(db, "SELECT count(*) FROM planes"), "planes")

    # An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
    db.execute("UPDATE planes SET seats = seats + 1 WHERE tailnum = ?", ("N10156",))
    for table, key, changed in db.execute('SELECT "table", key, changed FROM sync_pending'):
        print(f"edited: {table} {key} {changed}")
    pushed = one(db, """SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'""")
    pending = one(db, "SELECT count(*) FROM sync_pending")
    print(f"second sync: {pushed} pushed, {pending} pending")
    if pending:
        raise RuntimeError("the second sync failed")

    # A call that is wrong is an exception. (A sync that fails is not: see _syncStatus.error.)
    try:
        one(db, """SELECT sync_entities('reference-data', 'nope', '["planes"]')""")
    except sqlite3.Error as error:
        print("refused:", error)

    # Closing stops a sync that is under way; the next sync makes up for it.
    one(db, """SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                    '{"background":true}')""")
    db.close()
    print("closed")


if len(sys.argv) > 1:
    example(sys.argv[1])
else:
    with tempfile.TemporaryDirectory() as folder:
        example(os.path.join(folder, "app.db"))
