"""What every tool's run shares: a tracked table with waiting changes, and what must still wait afterwards.

A run is `before()`, the tool's migration on a file that it opens by itself, `after()`.
"""
import json
import os
import sqlite3

LIBRARY = os.environ["SYNCSCOPE_LIBRARY"]

DDL = """CREATE TABLE "task" ("id" text NOT NULL PRIMARY KEY, "title" text NOT NULL, "note" text NULL,
    "done" integer NOT NULL DEFAULT 0)"""


def opened(file):
    db = sqlite3.connect(file, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(LIBRARY)
    db.enable_load_extension(False)
    return db


def ask(db, sql, *values):
    return db.execute(sql, values).fetchone()[0]


def before(file):
    """A file whose rows a..e are known to the server; a and b edited, c deleted, n made here."""
    if os.path.exists(file):
        os.remove(file)
    db = opened(file)
    db.execute(DDL)
    seed(db)
    db.close()


def seed(db):
    rows = [(key, "title " + key, None, 0) for key in "abcde"]
    db.executemany('INSERT INTO task (id, title, note, done) VALUES (?, ?, ?, ?)', rows)
    ask(db, """SELECT sync_track('task', '{"existing":"skip"}')""")
    db.execute("UPDATE task SET title = 'edited' WHERE id = 'a'")
    db.execute("UPDATE task SET done = 1, note = 'x' WHERE id = 'b'")
    db.execute("DELETE FROM task WHERE id = 'c'")
    db.execute("INSERT INTO task (id, title, note, done) VALUES ('n', 'new', NULL, 0)")


def waiting(db):
    rows = db.execute("SELECT key, op, changed FROM sync_pending ORDER BY key").fetchall()
    return [(key, op, sorted(json.loads(changed or "[]"))) for key, op, changed in rows]


def after(what, file, renamed=None, gone=()):
    """The same changes wait; `renamed` maps old names of columns to new ones, `gone` are columns that went."""
    renamed = renamed or {}
    name = lambda column: renamed.get(column, column)
    columns = lambda *names: sorted(name(column) for column in names if column not in gone)
    expected = [
        ("a", "updated", columns("title")),
        ("b", "updated", columns("done", "note")),
        ("c", "deleted", []),
        ("n", "created", []),
    ]
    db = opened(file)
    found = waiting(db)
    assert found == expected, f"{what}: {found} waits before a call, not {expected}"
    answer = json.loads(ask(db, "SELECT sync_track('task')"))
    assert answer["already"] and answer["captured"] == 0, f"{what}: {answer}"
    found = waiting(db)
    assert found == expected, f"{what}: {found} waits after a call, not {expected}"
    db.execute(f"UPDATE task SET {name('title')} = 'edited later' WHERE id = 'd'")
    assert ("d", "updated", [name("title")]) in waiting(db), f"{what}: later edits are not captured"
    # Nothing was written twice: the same call again has nothing to say of the table's capture.
    again = json.loads(ask(db, "SELECT sync_track('task')"))["warnings"]
    assert not any(warning["code"] == "captureRestored" for warning in again), f"{what}: {again}"
    db.close()
    print(f"ok   {what}")
