"""Django: `new__task` is made, filled, and takes the place of the table; columns are renamed and dropped directly."""
import os

import django
from django.conf import settings

import bed

FILE = "django.db"

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FILE}},
    INSTALLED_APPS=[],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.db import connection, migrations, models  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from django.db.migrations.state import ProjectState  # noqa: E402

FIRST = migrations.CreateModel(
    name="Task",
    fields=[
        ("id", models.TextField(primary_key=True)),
        ("title", models.TextField()),
        ("note", models.TextField(null=True)),
        ("done", models.IntegerField(default=0)),
    ],
    options={"db_table": "task"},
)


def load(sender, connection, **_):
    connection.connection.enable_load_extension(True)
    connection.connection.load_extension(bed.LIBRARY)
    connection.connection.enable_load_extension(False)


def migrate(operations, state):
    migration = migrations.Migration("step", "app")
    migration.operations = operations
    with connection.schema_editor(atomic=True) as editor:
        return migration.apply(state, editor)


def fresh():
    if os.path.exists(FILE):
        os.remove(FILE)


def run(what, *operations, loaded=False, **then):
    fresh()
    state = migrate([FIRST], ProjectState())
    connection.close()
    db = bed.opened(FILE)
    bed.seed(db)
    db.close()
    if loaded:
        connection_created.connect(load)
    migrate(list(operations), state)
    connection.close()
    connection_created.disconnect(load)
    bed.after(f"Django, {what}", FILE, **then)


run("a field's type", migrations.AlterField("task", "done", models.TextField(default="0")))
run("a new field", migrations.AddField("task", "extra", models.TextField(null=True)))
run("a new field with a default", migrations.AddField("task", "extra", models.IntegerField(default=7, db_default=7)))
run("a field's new name", migrations.RenameField("task", "title", "heading"), renamed={"title": "heading"})
run("a constraint", migrations.AddConstraint("task", models.UniqueConstraint(fields=["id", "title"], name="one")))
run("a table renamed and back", migrations.AlterModelTable("task", "jobs"), migrations.AlterModelTable("task", "task"))
run(
    "a field that goes, with capture off and on",
    migrations.RunSQL("SELECT sync_capture_off()", "SELECT sync_capture_on()"),
    migrations.RemoveField("task", "note"),
    migrations.RunSQL("SELECT sync_capture_on()", "SELECT sync_capture_off()"),
    loaded=True,
    gone=("note",),
)
