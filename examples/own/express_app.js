// A backend of your own in Express: npm install express better-sqlite3; PORT=8788 node express_app.js
const express = require('express')
const db = require('better-sqlite3')(process.env.DATABASE || 'own.db')
db.exec('CREATE TABLE IF NOT EXISTS row (tbl, id, data, created, changed, deleted, PRIMARY KEY (tbl, id))')

// U9: what clients may read and write: each column's empty value, and whether it may be null.
const text = ['', false], truth = [false, false], optionalText = ['', true], optionalNumber = [0, true]
const TABLES = { list: { name: text }, task: { title: text, done: truth, points: optionalNumber, list_id: optionalText } }
const CHILDREN = { list: [['task', 'list_id']] }

const refuse = (status, message) => { throw Object.assign(new Error(message), { status }) }
const columns = table => Object.hasOwn(TABLES, table) ? TABLES[table] : refuse(400, `there is no table ${table}`)
const cursor = asked => Number(asked === 'null' ? 0 : asked || 0) // P3
const lists = () => ({ created: [], updated: [], deleted: [] })

// U1, P5: a request sees one state and makes one state. What throws leaves nothing behind.
const whole = work => (request, answer) => answer.json(db.transaction(work).immediate(request))

const app = express()
app.use(express.json({ limit: '64mb' }))

app.get('/sync', whole(({ query }) => {
  const since = cursor(query.last_pulled_at), news = JSON.parse(query.migration || 'null') || {}, changes = {}
  const again = [...news.tables || [], ...(news.columns || []).map(added => added.table)] // P6
  // P4: the last change there is, not the time of day. What comes later has a greater stamp.
  const { timestamp } = db.prepare('SELECT coalesce(max(changed), 1) AS timestamp FROM row').get()
  for (const table of query.tables ? query.tables.split(',') : Object.keys(TABLES)) {
    columns(table)
    changes[table] = lists()
    const rows = db.prepare('SELECT * FROM row WHERE tbl = ? AND changed > ?').all(table, again.includes(table) ? 0 : since)
    for (const { id, data, created, deleted } of rows) {
      if (deleted && since) changes[table].deleted.push(id)
      if (deleted) continue
      changes[table][created > since ? 'created' : 'updated'].push({ id, ...JSON.parse(data) })
    }
  }
  return { changes, timestamp }
}))

app.post('/sync', whole(({ query, body }) => {
  const since = cursor(query.last_pulled_at)
  const { now } = db.prepare('SELECT max(?, coalesce(max(changed), 0) + 1) AS now FROM row').get(Date.now())
  for (const [table, pushed] of Object.entries(body)) {
    const { created, updated, deleted } = { ...lists(), ...pushed }
    for (const row of created) save(table, row, since, now, true)
    for (const row of updated) save(table, row, since, now, false)
    for (const id of deleted) remove(table, id, since, now)
  }
  return {}
}))

function find (table, id, since, now) {
  columns(table)
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(id)) refuse(400, 'an id may have A-Z, a-z, 0-9 and _ . - in it') // U9
  const row = db.prepare('SELECT * FROM row WHERE tbl = ? AND id = ?').get(table, id)
  // U5: the client pulls, merges and pushes again
  if (row && row.changed > since && row.changed < now) refuse(409, `row ${id} of ${table} was changed since ${since}`)
  return row
}

function save (table, row, since, now, isNew) {
  const old = find(table, row.id, since, now)
  if (old?.deleted && !isNew) refuse(409, `row ${row.id} of ${table} was deleted`) // U3
  const data = old ? JSON.parse(old.data) : {} // U2: an upsert
  for (const [name, [empty, nullable]] of Object.entries(columns(table))) { // U8, U10: only what is known, and only what fits
    if (typeof row[name] === typeof empty || (nullable && row[name] === null)) data[name] = row[name]
    else data[name] ??= nullable ? null : empty
  }
  const born = old && !old.deleted ? old.created : now
  db.prepare('REPLACE INTO row VALUES (?, ?, ?, ?, ?, 0)').run(table, row.id, JSON.stringify(data), born, now)
}

function remove (table, id, since, now) {
  const row = find(table, id, since, now)
  if (!row || row.deleted) return // U4: what is not there needs no delete
  db.prepare('UPDATE row SET deleted = 1, changed = ? WHERE tbl = ? AND id = ?').run(now, table, id)
  for (const [child, column] of CHILDREN[table] || []) { // U11
    const orphans = db.prepare('SELECT id FROM row WHERE tbl = ? AND NOT deleted AND data ->> ? = ?').all(child, column, id)
    for (const orphan of orphans) remove(child, orphan.id, now, now)
  }
}

app.use((error, request, answer, next) => answer.status(error.status || 500).json({ error: error.message }))
app.listen(process.env.PORT || 8788, '127.0.0.1', function () { console.log(`listening on ${this.address().port}`) })
