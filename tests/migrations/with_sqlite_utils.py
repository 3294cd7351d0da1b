"""sqlite-utils: `transform` rebuilds the table."""
import sqlite_utils

import bed

FILE = "sqlite_utils.db"


def run(what, change, **then):
    bed.before(FILE)
    db = sqlite_utils.Database(FILE)
    change(db)
    db.conn.commit()
    db.close()
    bed.after(f"sqlite-utils, {what}", FILE, **then)


run("a column's type", lambda db: db["task"].transform(types={"done": str}))
run("columns in another order", lambda db: db["task"].transform(column_order=("done", "note", "id", "title")))
run("a new column", lambda db: db["task"].add_column("extra", str))
run("not null", lambda db: db["task"].transform(not_null={"title": False}, defaults={"note": "none"}))
run("a foreign key", lambda db: (db["list"].create({"id": str}, pk="id"), db["task"].add_column("list", str, fk="list", fk_col="id")))
