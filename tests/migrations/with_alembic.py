"""Alembic in batch mode: `_alembic_tmp_…` is made, filled, and takes the place of the table, which loses its triggers."""
import warnings

import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Integer, MetaData, String, Table, Text

import bed

FILE = "alembic.db"
# It looks at the indexes of all tables before it asks include_object.
warnings.filterwarnings("ignore", message="Skipped unsupported reflection")


def engine():
    return sqlalchemy.create_engine(f"sqlite:///{FILE}")


def run(what, change, **then):
    bed.before(FILE)
    place = engine()
    with place.begin() as connection:
        change(Operations(MigrationContext.configure(connection)))
    place.dispose()
    bed.after(f"Alembic, {what}", FILE, **then)


def batch(*steps):
    def change(operations):
        with operations.batch_alter_table("task", recreate="always") as table:
            for step in steps:
                step(table)
    return change


run("a column's type", batch(lambda table: table.alter_column("done", type_=Text)))
run("a new column", batch(lambda table: table.add_column(Column("extra", String))))
run("a constraint", batch(lambda table: table.create_unique_constraint("one", ["id", "title"])))
run("not null and a default", batch(lambda table: table.alter_column("done", server_default="7")))
run("an index", lambda operations: operations.create_index("by_title", "task", ["title"]))

# What autogenerate is kept from, as docs/migrations.md says.
bed.before(FILE)


def include_object(_object, name, kind, _reflected, _compare_to):
    return not (kind == "table" and name.startswith("_sync"))


known = MetaData()
Table("task", known, Column("id", Text, primary_key=True), Column("title", Text, nullable=False), Column("note", Text),
      Column("done", Integer, nullable=False, server_default="0"))
place = engine()
with place.connect() as connection:
    options = {"include_object": include_object}
    found = compare_metadata(MigrationContext.configure(connection, opts=options), known)
place.dispose()
assert found == [], found
bed.after("Alembic, autogenerate sees no table of syncscope", FILE)
