"""What a sync costs a device by kind of provider: rows up, and the same rows down on another device. CPU time and memory of the
device's process; the server is another one. `make bench-kinds` runs it.

LIBRARY, BACKEND: the built files. SIZES: numbers of rows, with commas between them."""
import json
import os
import pathlib
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid

TABLE = "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, name TEXT, email TEXT)"


def opened(file):
    db = sqlite3.connect(file, isolation_level=None)
    if not hasattr(db, "enable_load_extension"):
        raise SystemExit("this Python's sqlite3 loads no extensions; try PYTHON=/usr/bin/python3 make bench-kinds")
    db.enable_load_extension(True)
    db.load_extension(os.environ["LIBRARY"].removesuffix(".so").removesuffix(".dylib"))
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
        db.execute(f"PRAGMA {pragma}")
    return db


def declare(db, kind, url, device):
    config = {"kind": "watermelon", "url": url + "/sync"}
    if kind != "watermelon":
        sign_in = urllib.request.Request(
            url + "/dummy-signin", json.dumps({"user": "u", "password": "p", "device": device}).encode(), method="POST")
        token = json.load(urllib.request.urlopen(sign_in))["token"]
        db.execute("SELECT sync_secret('t', ?, ?)", (token, url)).fetchone()
        config = {"kind": "oversync", "url": url, "serverSchema": "business", "token": "t", "sourceId": device}
    db.execute("SELECT sync_provider('api', ?)", (json.dumps(config),)).fetchone()


def used():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime, now.ru_maxrss / 1024


def child(kind, direction, rows, url):
    """Prints CPU seconds, MiB above what was there, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        db = opened(os.path.join(folder, "app.db"))
        db.execute(TABLE)
        db.execute("SELECT sync_track('users')").fetchone()
        declare(db, kind, url, direction)
        if direction == "up":
            db.execute("BEGIN")
            names = ((str(uuid.uuid4()), f"name {n}", f"{n}@example.com") for n in range(rows))
            db.executemany("INSERT INTO users VALUES (?, ?, ?)", names)
            db.execute("COMMIT")
        call = {"up": "sync_once", "down": "sync_download_all"}[direction]
        before, began = used(), time.time()
        answer = json.loads(db.execute(f"SELECT {call}('api')").fetchone()[0])
        after, took = used(), time.time() - began
        assert answer["state"] == "synced", answer
        left = db.execute("SELECT count(*) FROM sync_pending").fetchone()[0]
        here = db.execute("SELECT count(*) FROM users").fetchone()[0]
        assert (left, here) == (0, rows), (left, here)
        print(json.dumps([after[0] - before[0], max(0, after[1] - before[1]), took]))


def measured(kind, direction, rows, url):
    words = [sys.executable, __file__, "child", kind, direction, str(rows), url]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)


def server(kind, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    schema = pathlib.Path(folder) / "schema.sql"
    schema.write_text(TABLE + ";")
    words = ["--schema", str(schema)] if kind == "watermelon" else ["--oversync", kind[-1]]
    process = subprocess.Popen([os.environ["BACKEND"], "--port", str(port), *words],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server of {kind} does not answer")


def main():
    sizes = [int(size) for size in os.environ.get("SIZES", "25000,100000").split(",")]
    print("| kind | direction | rows | CPU, s | a row, µs | memory, MiB |\n|---|---|---|---|---|---|")
    for kind in ("watermelon", "oversync a", "oversync b"):
        for rows in sizes:
            with tempfile.TemporaryDirectory() as folder:
                process, url = server(kind, folder)
                try:
                    for direction in ("up", "down"):
                        cpu, memory, _ = measured(kind, direction, rows, url)
                        print(f"| {kind} | {direction} | {rows:,} | {cpu:.2f} | {cpu / rows * 1e6:.1f} | {memory:.1f} |",
                              flush=True)
                finally:
                    process.kill()
                    process.wait()


if sys.argv[1:2] == ["child"]:
    child(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
else:
    main()
