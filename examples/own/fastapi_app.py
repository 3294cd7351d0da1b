"""A backend of your own in FastAPI: pip install fastapi uvicorn; uvicorn fastapi_app:app --port 8788"""
import json, os, re, sqlite3, time
from contextlib import closing, contextmanager
from fastapi import FastAPI, HTTPException

# U9: what clients may read and write.
TABLES = {"list": {"name": str}, "task": {"title": str, "done": bool, "points": int | float | None, "list_id": str | None}}
CHILDREN = {"list": [("task", "list_id")]}
app = FastAPI()

def refuse(status, message):
    raise HTTPException(status, message)

def columns(table):
    return TABLES.get(table) or refuse(400, f"there is no table {table}")

@contextmanager
def transaction():
    """U1, P5: a request sees one state and makes one state. What raises leaves nothing behind."""
    with closing(sqlite3.connect(os.environ.get("DATABASE", "own.db"), isolation_level=None, timeout=30)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TABLE IF NOT EXISTS row (tbl, id, data, created, changed, deleted, PRIMARY KEY (tbl, id))")
        yield db
        db.execute("COMMIT")

@app.get("/sync")
def pull(last_pulled_at: str = "null", tables: str = "", migration: str = "null"):
    since, news, changes = int(last_pulled_at.replace("null", "") or 0), json.loads(migration) or {}, {}  # P3
    whole = news.get("tables", []) + [new["table"] for new in news.get("columns", [])]  # P6
    with transaction() as db:
        # P4: the last change there is, not the time of day. What comes later has a greater stamp.
        timestamp = db.execute("SELECT coalesce(max(changed), 1) FROM row").fetchone()[0]
        for table in tables.split(",") if tables else TABLES:
            columns(table)
            found = changes[table] = {"created": [], "updated": [], "deleted": []}
            query = "SELECT id, data, created, deleted FROM row WHERE tbl = ? AND changed > ?"
            for id, data, created, gone in db.execute(query, (table, 0 if table in whole else since)):
                section = "deleted" if gone else "created" if created > since else "updated"
                if since or not gone:
                    found[section].append(id if gone else {"id": id} | json.loads(data))
    return {"changes": changes, "timestamp": timestamp}

@app.post("/sync")
def push(changes: dict, last_pulled_at: str = "null"):
    since = int(last_pulled_at.replace("null", "") or 0)
    with transaction() as db:
        now = db.execute("SELECT max(?, coalesce(max(changed), 0) + 1) FROM row", [int(time.time() * 1000)]).fetchone()[0]
        for table, lists in changes.items():
            for row in lists.get("created", []):
                save(db, table, row, since, now, created=True)
            for row in lists.get("updated", []):
                save(db, table, row, since, now, created=False)
            for id in lists.get("deleted", []):
                remove(db, table, id, since, now)
    return {}

def find(db, table, id, since, now):
    columns(table)
    re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", str(id)) or refuse(400, "an id may have A-Z, a-z, 0-9 and _ . - in it")  # U9
    row = db.execute("SELECT data, created, changed, deleted FROM row WHERE tbl = ? AND id = ?", (table, id)).fetchone()
    if row and since < row[2] < now:  # U5: the client pulls, merges and pushes again
        refuse(409, f"row {id} of {table} was changed since {since}")
    return row

def save(db, table, row, since, now, created):
    old, born, _, gone = find(db, table, row.get("id"), since, now) or ("{}", now, 0, False)
    if gone and not created:
        refuse(409, f"row {row['id']} of {table} was deleted")  # U3
    data = json.loads(old)  # U2: an upsert
    for name, kind in columns(table).items():  # U8, U10: only what is known, and only what fits
        empty = None if isinstance(None, kind) else kind()
        data[name] = row[name] if isinstance(row.get(name, ...), kind) else data.get(name, empty)
    db.execute("REPLACE INTO row VALUES (?, ?, ?, ?, ?, 0)", (table, row["id"], json.dumps(data), now if gone else born, now))

def remove(db, table, id, since, now):
    row = find(db, table, id, since, now)
    if row and not row[3]:  # U4: what is not there needs no delete
        db.execute("UPDATE row SET deleted = 1, changed = ? WHERE tbl = ? AND id = ?", (now, table, id))
        for child, column in CHILDREN.get(table, []):  # U11
            query = "SELECT id FROM row WHERE tbl = ? AND NOT deleted AND data ->> ? = ?"
            for (orphan,) in db.execute(query, (child, column, id)).fetchall():
                remove(db, child, orphan, now, now)
