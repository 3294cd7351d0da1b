PRAGMA journal_mode = WAL;
.import --csv --skip 1 airlines.csv airlines
.import --csv --skip 1 airports.csv airports
.import --csv --skip 1 planes.csv planes
.import --csv --skip 1 flights.csv flights
UPDATE airports SET tzone = nullif(tzone, 'NA');
UPDATE planes SET year = nullif(year, 'NA'), speed = nullif(speed, 'NA');
UPDATE flights SET dep_time = nullif(dep_time, 'NA'), dep_delay = nullif(dep_delay, 'NA'), arr_time = nullif(arr_time, 'NA'),
  arr_delay = nullif(arr_delay, 'NA'), tailnum = nullif(tailnum, 'NA'), air_time = nullif(air_time, 'NA');

-- Flights are many, so they get a time by which one can ask for what is new.
ALTER TABLE flights ADD COLUMN updated TEXT;
UPDATE flights SET updated = strftime('%Y-%m-%dT%H:%M:%fZ', time_hour);
CREATE INDEX flights_by_time ON flights (updated);
CREATE TRIGGER flights_made AFTER INSERT ON flights WHEN new.updated IS NULL BEGIN
  UPDATE flights SET updated = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = new.id;
END;
CREATE TRIGGER flights_edited AFTER UPDATE ON flights WHEN new.updated IS old.updated BEGIN
  UPDATE flights SET updated = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = new.id;
END;
