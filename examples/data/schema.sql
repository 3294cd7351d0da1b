-- The NYC 2013 flights tables, as an app on a device keeps them.
-- The reference backend is started with the same file. NULL stands for the NA of the source.
-- There are no foreign keys: some flights name planes and airports that the source does not list.

CREATE TABLE IF NOT EXISTS airlines (
  carrier TEXT PRIMARY KEY NOT NULL,
  name    TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS airports (
  faa   TEXT PRIMARY KEY NOT NULL,
  name  TEXT NOT NULL,
  lat   REAL NOT NULL,
  lon   REAL NOT NULL,
  alt   INTEGER NOT NULL,            -- feet
  tz    INTEGER NOT NULL,            -- hours from UTC
  dst   TEXT NOT NULL,               -- A: US daylight saving, N: none, U: unknown
  tzone TEXT
);

CREATE TABLE IF NOT EXISTS planes (
  tailnum      TEXT PRIMARY KEY NOT NULL,
  year         INTEGER,
  type         TEXT NOT NULL,
  manufacturer TEXT NOT NULL,
  model        TEXT NOT NULL,
  engines      INTEGER NOT NULL,
  seats        INTEGER NOT NULL,
  speed        INTEGER,              -- miles per hour
  engine       TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS flights (
  id             TEXT PRIMARY KEY NOT NULL,  -- date-carrier-flight-origin, made by extract.py
  year           INTEGER NOT NULL,
  month          INTEGER NOT NULL,
  day            INTEGER NOT NULL,
  dep_time       INTEGER,            -- local, HMM or HHMM; NULL: cancelled
  sched_dep_time INTEGER NOT NULL,
  dep_delay      INTEGER,            -- minutes, negative: early
  arr_time       INTEGER,
  sched_arr_time INTEGER NOT NULL,
  arr_delay      INTEGER,
  carrier        TEXT NOT NULL,
  flight         INTEGER NOT NULL,
  tailnum        TEXT,
  origin         TEXT NOT NULL,
  dest           TEXT NOT NULL,
  air_time       INTEGER,            -- minutes
  distance       INTEGER NOT NULL,   -- miles
  hour           INTEGER NOT NULL,
  minute         INTEGER NOT NULL,
  time_hour      TEXT NOT NULL       -- scheduled hour, UTC, ISO 8601
);
