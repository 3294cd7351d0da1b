"""An API of flights that is as fast as a server in Python can be: each answer is made before it is asked for. It counts the processor
time that it has used, so that one can see whether it was in the way.

    python3 server.py FLIGHTS.CSV ROWS PAGE

Prints one line of JSON when it listens: its address, and what a mirror of its flights must add up to."""
import csv
import http.server
import itertools
import json
import sys
import time

TEXTS = ("id", "carrier", "tailnum", "origin", "dest", "time_hour")


def record(row):
    return {name: None if value == "NA" else value if name in TEXTS else int(value) for name, value in row.items()}


def response(body):
    """Status, headers and body in one piece, so that it goes out at once."""
    body = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def responses(flights, size, url):
    """What is answered, by path: {"rows": […], "next": the address of the next page, or null}."""
    answers = {}
    for first in range(0, len(flights), size):
        page = first // size + 1
        is_last = first + size >= len(flights)
        next_page = None if is_last else f"{url}?page={page + 1}"
        answers[f"/flights?page={page}"] = response({"rows": flights[first:first + size], "next": next_page})
    return answers | {"/flights": answers["/flights?page=1"]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answers = {}

    def do_GET(self):
        if self.path == "/processor-time":
            self.wfile.write(response(time.process_time()))
        elif self.path in self.answers:
            self.wfile.write(self.answers[self.path])
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


def main(path, rows, size):
    with open(path, encoding="utf-8", newline="") as file:
        flights = [record(row) for row in itertools.islice(csv.DictReader(file), int(rows))]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}/flights"
    Handler.answers = responses(flights, int(size), url)
    sums = [len(flights), sum(flight["distance"] for flight in flights), sum(flight["dep_delay"] or 0 for flight in flights)]
    print(json.dumps({"url": url, "sums": sums}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
