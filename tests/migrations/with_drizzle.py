"""drizzle-kit: `generate` writes SQL files from a schema in TypeScript; they are run as drizzle's migrator runs them, one
statement after another in one transaction."""
import os
import pathlib
import shutil
import sqlite3
import subprocess

import bed

FILE = "drizzle.db"
NODE = os.environ["NODE_FOLDER"]
TABLE = {"id": 'text("id").primaryKey()', "title": 'text("title").notNull()', "note": 'text("note")',
         "done": 'integer("done").notNull().default(0)'}


def generate(columns, more=""):
    fields = ", ".join(f"{name}: {kind}" for name, kind in columns.items())
    pathlib.Path("schema.ts").write_text(
        'import { sqliteTable, text, integer, unique } from "drizzle-orm/sqlite-core";\n'
        f'export const task = sqliteTable("task", {{ {fields} }}{more});\n')
    done = subprocess.run([f"{NODE}/node_modules/.bin/drizzle-kit", "generate", "--dialect", "sqlite", "--schema", "schema.ts",
                           "--out", "out"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    newest = sorted(pathlib.Path("out").glob("*.sql"))[-1]
    return newest.read_text().split("--> statement-breakpoint")


def migrate(statements, around=False):
    db = bed.opened(FILE) if around else sqlite3.connect(FILE, isolation_level=None)
    db.execute("PRAGMA foreign_keys=ON")
    if around:
        bed.ask(db, "SELECT sync_capture_off()")
    db.execute("BEGIN")
    for statement in statements:
        db.execute(statement)
    db.execute("COMMIT")
    if around:
        bed.ask(db, "SELECT sync_capture_on()")
    db.close()


def run(what, columns, more="", around=False, **then):
    shutil.rmtree("out", ignore_errors=True)
    if os.path.exists(FILE):
        os.remove(FILE)
    migrate(generate(TABLE))
    db = bed.opened(FILE)
    bed.seed(db)
    db.close()
    migrate(generate(columns, more), around)
    bed.after(f"drizzle-kit, {what}", FILE, **then)


run("a new column", {**TABLE, "extra": 'text("extra")'})
run("a column's default, which rebuilds", {**TABLE, "done": 'integer("done").notNull().default(5)'})
run("a column that need not be there, which rebuilds", {**TABLE, "title": 'text("title")'})
run("a unique index", TABLE, more=', t => [unique("one").on(t.id, t.title)]')
run("a column that goes, with capture off and on", {name: kind for name, kind in TABLE.items() if name != "note"},
    around=True, gone=("note",))
