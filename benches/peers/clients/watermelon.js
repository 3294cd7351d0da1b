'use strict'
// WatermelonDB on Node, as its documentation says: one model per table, synchronize() with fetch.
process.env.NODE_ENV = 'production'
console.log = () => {} // it reports every step

const packages = require('../packages')
const { Database, Model, appSchema, tableSchema } = packages('@nozbe/watermelondb')
const SQLiteAdapter = packages('@nozbe/watermelondb/adapters/sqlite').default
const { synchronize, hasUnsyncedChanges } = packages('@nozbe/watermelondb/sync')
const Sqlite = packages('better-sqlite3')
const { tables, newFlight } = require('../tables')

function connect(file) {
  const described = tables()
  const schema = appSchema({
    version: 1,
    tables: described.map(({ name, columns }) =>
      tableSchema({
        name,
        columns: columns.map((column) => ({
          name: column.name,
          type: column.isNumber ? 'number' : 'string',
          isOptional: !column.isRequired,
        })),
      }),
    ),
  })
  const modelClasses = described.map(({ name }) => {
    class Row extends Model {}
    Row.table = name
    return Row
  })
  return new Database({ adapter: new SQLiteAdapter({ dbName: file, schema }), modelClasses })
}

/** Makes an empty database. */
async function prepare(file) {
  const database = connect(file)
  await database.adapter.getLocal('ready') // the schema is set up then
  const db = new Sqlite(file)
  db.pragma('journal_mode = WAL') // which the file remembers
  db.close()
}

function open(file, url) {
  const database = connect(file)
  const rowsIn = (changes) =>
    Object.values(changes).reduce((sum, { created, updated, deleted }) => sum + created.length + updated.length + deleted.length, 0)
  return {
    async connect() {
      await database.adapter.getLocal('ready')
    },
    async sync() {
      const done = { pulled: 0, pushed: 0 }
      await synchronize({
        database,
        async pullChanges({ lastPulledAt, schemaVersion, migration }) {
          const query = `last_pulled_at=${lastPulledAt}&schema_version=${schemaVersion}&migration=${JSON.stringify(migration)}`
          const response = await fetch(`${url}?${query}`)
          if (!response.ok) throw new Error(await response.text())
          const { changes, timestamp } = await response.json()
          done.pulled = rowsIn(changes)
          return { changes, timestamp }
        },
        async pushChanges({ changes, lastPulledAt }) {
          const response = await fetch(`${url}?last_pulled_at=${lastPulledAt}`, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify(changes),
          })
          if (!response.ok) throw new Error(await response.text())
          done.pushed = rowsIn(changes)
          return response.json()
        },
      })
      return done
    },
    /** Creates flights in one batch. */
    async create(count) {
      const db = new Sqlite(file)
      const rows = db.prepare('SELECT * FROM flights ORDER BY id LIMIT ?').all(count)
      db.close()
      const flights = database.get('flights')
      await database.write(async () => {
        const made = rows.map(({ _status, _changed, ...row }, number) =>
          flights.prepareCreateFromDirtyRaw(newFlight(row, number)),
        )
        await database.batch(made)
      })
    },
    pending: async () => Number(await hasUnsyncedChanges({ database })),
    close: () => {},
  }
}

module.exports = { prepare, open }
