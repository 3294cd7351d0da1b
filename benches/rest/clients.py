"""One mirror of the flights, into a new SQLite file of this folder, in a process of its own.

    python3 clients.py CLIENT URL

Prints one line of JSON: seconds, seconds of the processor, MiB at the peak, MiB before it began, and what the mirror adds up to. What is
imported and loaded before the first request counts as memory, not as time."""
import json
import os
import pathlib
import resource
import sqlite3
import sys
import time

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "examples/data/schema.sql"
FILE = "flights.db"
SUMS = "SELECT count(*), sum({distance}), sum({delay}) FROM {table}"
COLUMNS = {"table": "flights", "distance": "distance", "delay": "dep_delay"}


def opened():
    db = sqlite3.connect(FILE, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def syncscope(url, columns):
    db = opened()
    db.enable_load_extension(True)
    db.load_extension(os.environ["LIBRARY"].removesuffix(".so").removesuffix(".dylib"))
    origin, path = url.rsplit("/", 1)
    provider = {"kind": "rest", "url": origin}
    function = {"path": f"/{path}", "records": "$.rows", "paging": {"kind": "next", "next": "$.next"}}

    def run():
        if columns:
            db.executescript(SCHEMA.read_text())
            db.execute("SELECT sync_track('flights')").fetchone()
        db.execute("SELECT sync_provider('api', ?)", (json.dumps(provider),)).fetchone()
        db.execute("SELECT sync_function('api', 'flights', ?)", (json.dumps(function),)).fetchone()
        answer = json.loads(db.execute("SELECT sync_entities('flights', 'api', '[\"flights\"]')").fetchone()[0])
        assert answer["state"] == "synced", answer

    if columns:
        return run, FILE, COLUMNS
    return run, FILE, {"table": "flights", "distance": "data ->> 'distance'", "delay": "data ->> 'dep_delay'"}


def loop(url):
    import requests

    def run():
        db = opened()
        db.executescript(SCHEMA.read_text())
        insert = None
        next_page = url
        with requests.Session() as session:
            while next_page:
                answer = session.get(next_page)
                answer.raise_for_status()
                page = answer.json()
                insert = insert or "INSERT OR REPLACE INTO flights VALUES (" + ", ".join(
                    f":{name}" for name in page["rows"][0]) + ")"
                db.execute("BEGIN")
                db.executemany(insert, page["rows"])
                db.execute("COMMIT")
                next_page = page["next"]

    return run, FILE, COLUMNS


def with_dlt(url):
    # It would report how it is used.
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_DATA_DIR"] = os.path.abspath("dlt")
    import dlt
    from dlt.sources.rest_api import rest_api_source

    origin, path = url.rsplit("/", 1)

    def run():
        flights = {
            "name": "flights", "primary_key": "id", "write_disposition": "replace",
            "endpoint": {"path": path, "data_selector": "rows",
                         "paginator": {"type": "json_link", "next_url_path": "next"}},
        }
        source = rest_api_source({"client": {"base_url": origin}, "resources": [flights]})
        pipeline = dlt.pipeline("mirror", pipelines_dir=os.path.abspath("pipelines"), dataset_name="mirror",
                                destination=dlt.destinations.sqlalchemy(f"sqlite:///{os.path.abspath(FILE)}"))
        pipeline.run(source).raise_on_failed_jobs()

    # It keeps a data set in a file of its own, which it attaches.
    return run, "flights__mirror.db", COLUMNS


CLIENTS = {
    "columns": lambda url: syncscope(url, True),
    "documents": lambda url: syncscope(url, False),
    "loop": loop,
    "dlt": with_dlt,
}


def used():
    """Of this process and those that it has started."""
    times = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # Bytes on macOS, else kilobytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return sum(one.ru_utime + one.ru_stime for one in times), max(one.ru_maxrss for one in times) / unit


def main(client, url):
    run, file, columns = CLIENTS[client](url)
    processor, before = used()
    began = time.perf_counter()
    run()
    took = time.perf_counter() - began
    end, peak = used()
    sums = sqlite3.connect(file).execute(SUMS.format(**columns)).fetchone()
    print(json.dumps({"seconds": took, "processor": end - processor, "peak": peak, "before": before, "sums": sums}))


if __name__ == "__main__":
    main(*sys.argv[1:])
