// Syncs two tables through mattn/go-sqlite3 (go get github.com/mattn/go-sqlite3; needs cgo and a C compiler).
//
// usage: go run . [FILE]    without FILE, in a temporary one
// environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/mattn/go-sqlite3"
)

const schema = `
CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
`

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	// Every connection of the pool loads the extension.
	sql.Register("sqlite3_sync", &sqlite3.SQLiteDriver{Extensions: []string{os.Getenv("SYNCSCOPE_LIBRARY")}})
	if len(os.Args) > 1 {
		return example(os.Args[1])
	}
	folder, err := os.MkdirTemp("", "syncscope-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	return example(filepath.Join(folder, "app.db"))
}

func example(file string) error {
	db, err := sql.Open("sqlite3_sync", file)
	if err != nil {
		return err
	}
	defer db.Close()
	// A background sync ends with the connection that started it: keep that one open.
	db.SetMaxOpenConns(1)

	var syncscope string
	if err := db.QueryRow("SELECT sync_version()").Scan(&syncscope); err != nil {
		return err
	}
	version, _, _ := sqlite3.Version()
	fmt.Printf("syncscope %s, SQLite %s, mattn/go-sqlite3 in %s\n", syncscope, version, runtime.Version())

	if _, err := db.Exec(schema); err != nil {
		return err
	}
	_, err = db.Exec("SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))",
		os.Getenv("SYNCSCOPE_BACKEND"))
	if err != nil {
		return err
	}
	if _, err := db.Exec("SELECT sync_track('airlines'); SELECT sync_track('planes')"); err != nil {
		return err
	}
	if err := first(db); err != nil {
		return err
	}
	if err := second(db); err != nil {
		return err
	}

	// A call that is wrong is an error. (A sync that fails is not: see _syncStatus.error.)
	_, err = db.Exec(`SELECT sync_entities('reference-data', 'nope', '["planes"]')`)
	fmt.Println("refused:", err)

	// Closing stops a sync that is under way; the next sync makes up for it.
	_, err = db.Exec(`SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
	                                       '{"background":true}')`)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	fmt.Println("closed")
	return nil
}

// first runs a sync in the background; the tables show its progress.
func first(db *sql.DB) error {
	if _, err := db.Exec(`SELECT sync_start_scope('startup', '["reference-data"]')`); err != nil {
		return err
	}
	var state string
	err := db.QueryRow(`SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
	                                         '{"background":true}')->>'state'`).Scan(&state)
	if err != nil {
		return err
	}
	fmt.Println("first sync:", state)
	var synced, failed int
	for state == "syncing" {
		time.Sleep(50 * time.Millisecond)
		err := db.QueryRow("SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'").
			Scan(&state, &synced, &failed)
		if err != nil {
			return err
		}
	}
	fmt.Printf("scope startup: %s, %d synced, %d failed\n", state, synced, failed)
	if err := statuses(db); err != nil {
		return err
	}
	if state != "synced" {
		return errors.New("the first sync failed")
	}
	var airlines, planes int
	err = db.QueryRow("SELECT (SELECT count(*) FROM airlines), (SELECT count(*) FROM planes)").Scan(&airlines, &planes)
	if err != nil {
		return err
	}
	fmt.Printf("rows: %d airlines, %d planes\n", airlines, planes)
	return nil
}

func statuses(db *sql.DB) error {
	rows, err := db.Query("SELECT entity, coalesce(error, state) FROM _syncStatus ORDER BY entity")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var entity, said string
		if err := rows.Scan(&entity, &said); err != nil {
			return err
		}
		fmt.Printf("status %s: %s\n", entity, said)
	}
	return rows.Err()
}

// second edits a row, which is captured by itself, and takes the edit to the backend.
func second(db *sql.DB) error {
	if _, err := db.Exec("UPDATE planes SET seats = seats + 1 WHERE tailnum = ?", "N10156"); err != nil {
		return err
	}
	var table, key, changed string
	if err := db.QueryRow(`SELECT "table", key, changed FROM sync_pending`).Scan(&table, &key, &changed); err != nil {
		return err
	}
	fmt.Printf("edited: %s %s %s\n", table, key, changed)
	var pushed, pending int
	err := db.QueryRow(`SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'`).
		Scan(&pushed)
	if err != nil {
		return err
	}
	if err := db.QueryRow("SELECT count(*) FROM sync_pending").Scan(&pending); err != nil {
		return err
	}
	fmt.Printf("second sync: %d pushed, %d pending\n", pushed, pending)
	if pending != 0 {
		return errors.New("the second sync failed")
	}
	return nil
}
