"""The flights, page by page from one server into SQLite: by syncscope, by dlt's rest_api source, and by a loop of requests and
executemany. `make bench-rest` runs it.

LIBRARY, FLIGHTS: the built file, and the CSV of the year. ROWS (100000): flights. PAGE (1000): flights in a page. ROUNDS (3): the
best of so many counts, by time and by memory. CLIENTS: some of columns,documents,loop,dlt.

The clients take turns, each time in a new process and a new folder, one after the other and in another order in each round."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {
    "columns": "syncscope, a table of columns",
    "documents": "syncscope, documents",
    "loop": "requests + executemany",
    "dlt": "dlt",
}


def setting(name, default):
    return os.environ.get(name) or default


def processor_time(url):
    with urllib.request.urlopen(url.replace("/flights", "/processor-time")) as answer:
        return json.load(answer)


def mirrored(client, url, sums):
    """One mirror, which must be whole."""
    with tempfile.TemporaryDirectory() as folder:
        before = processor_time(url)
        said = subprocess.run([sys.executable, HERE / "clients.py", client, url], cwd=folder, stdout=subprocess.PIPE,
                              text=True, check=True)
        figures = json.loads(said.stdout.splitlines()[-1])
        if figures["sums"] != sums:
            raise SystemExit(f"{client} has {figures['sums']}, not {sums}")
        return figures | {"server": processor_time(url) - before}


def report(rounds, rows):
    """A table of Markdown, in which the best round of each client counts."""
    best = {client: min(figures, key=lambda one: one["seconds"]) for client, figures in rounds.items()}
    print("| | rows a second | lowest to highest | CPU, s | of the server, s | peak memory, MiB | of it before the start |")
    print("|---|---|---|---|---|---|---|")
    for client, figures in rounds.items():
        speeds = sorted(rows / one["seconds"] for one in figures)
        one = best[client]
        peak = min(figures, key=lambda one: one["peak"])
        print(f"| {NAMES[client]} | {speeds[-1]:,.0f} | {speeds[0]:,.0f} to {speeds[-1]:,.0f} | {one['processor']:.2f} "
              f"| {one['server']:.2f} | {peak['peak']:.0f} | {peak['before']:.0f} |")
    for other in ("dlt", "loop"):
        for ours in ("columns", "documents"):
            if other in best and ours in best:
                of_time, of_processor = (best[other][what] / best[ours][what] for what in ("seconds", "processor"))
                print(f"\n{NAMES[ours]}: {of_time:.2f} times as fast as {NAMES[other]}; of CPU time {of_processor:.2f} times")


def main():
    rows, page, times = (int(setting(name, default)) for name, default in (("ROWS", "100000"), ("PAGE", "1000"), ("ROUNDS", "3")))
    clients = setting("CLIENTS", ",".join(NAMES)).split(",")
    server = subprocess.Popen([sys.executable, HERE / "server.py", os.environ["FLIGHTS"], str(rows), str(page)],
                              stdout=subprocess.PIPE, text=True)
    try:
        started = json.loads(server.stdout.readline())
        if started["sums"][0] != rows:
            raise SystemExit(f"there are only {started['sums'][0]} flights in {os.environ['FLIGHTS']}")
        rounds = {client: [] for client in clients}
        for round_number in range(times):
            turn = round_number % len(clients)
            for client in clients[turn:] + clients[:turn]:
                rounds[client].append(mirrored(client, started["url"], started["sums"]))
                print(f"round {round_number + 1}, {NAMES[client]}: {rounds[client][-1]['seconds']:.2f} s", file=sys.stderr)
    finally:
        server.kill()
        server.wait()
    report(rounds, rows)


if __name__ == "__main__":
    main()
