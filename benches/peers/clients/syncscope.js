'use strict'
// syncscope, loaded into better-sqlite3.
const fs = require('fs')
const Sqlite = require('../packages')('better-sqlite3')
const { schemaFile, tables, newFlight } = require('../tables')

function load(file) {
  const db = new Sqlite(file)
  db.loadExtension(process.env.LIBRARY)
  return db
}

/** Makes an empty database. */
function prepare(file, url) {
  const db = load(file)
  db.pragma('journal_mode = WAL')
  db.exec(fs.readFileSync(schemaFile, 'utf8'))
  db.prepare('SELECT sync_provider(?, ?)').get('api', JSON.stringify({ kind: 'watermelon', url, timeoutMs: 600000 }))
  for (const { name } of tables()) db.prepare('SELECT sync_track(?)').get(name)
  db.close()
}

function open(file, url) {
  const db = load(file)
  const entities = JSON.stringify(tables().map(({ name }) => name))
  return {
    /** Declares where the backend is now. */
    connect() {
      db.prepare('SELECT sync_provider(?, ?)').get('api', JSON.stringify({ kind: 'watermelon', url, timeoutMs: 600000 }))
    },
    async sync() {
      const answer = JSON.parse(db.prepare("SELECT sync_entities('all', 'api', ?)").pluck().get(entities))
      if (answer.state !== 'synced') throw new Error(`the sync failed: ${JSON.stringify(answer.error)}`)
      return { pulled: answer.pulled, pushed: answer.pushed }
    },
    /** Creates flights in one transaction. */
    async create(count) {
      const rows = db.prepare('SELECT * FROM flights ORDER BY id LIMIT ?').all(count)
      const names = Object.keys(rows[0])
      const insert = db.prepare(`INSERT INTO flights (${names}) VALUES (${names.map((name) => `@${name}`)})`)
      db.transaction(() => rows.forEach((row, number) => insert.run(newFlight(row, number))))()
    },
    /** How many changes wait to be pushed. */
    pending: () => db.prepare('SELECT count(*) FROM sync_pending').pluck().get(),
    close: () => db.close(),
  }
}

module.exports = { prepare, open }
