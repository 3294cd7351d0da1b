'use strict'
// The tables of examples/data/schema.sql, as both clients need to know them.
const fs = require('fs')
const path = require('path')
const Sqlite = require('./packages')('better-sqlite3')

const schemaFile = path.join(__dirname, '..', '..', 'examples', 'data', 'schema.sql')

/** [{ name, key, columns: [{ name, isNumber, isRequired }] }], the key not among the columns. */
function tables() {
  const db = new Sqlite(':memory:')
  db.exec(fs.readFileSync(schemaFile, 'utf8'))
  const names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").pluck().all()
  const described = names.map((name) => {
    const columns = db.prepare('SELECT name, type, "notnull", pk FROM pragma_table_info(?)').all(name)
    return {
      name,
      key: columns.find((column) => column.pk).name,
      columns: columns
        .filter((column) => !column.pk)
        .map(({ name, type, notnull }) => ({ name, isNumber: type !== 'TEXT', isRequired: !!notnull })),
    }
  })
  db.close()
  return described
}

/** A flight that is not in the data, made from one that is. */
const newFlight = (row, number) => ({ ...row, id: `new-${number}`, year: 2014 })

/** The same flight after an edit of two columns. */
const editedFlight = (row) => ({ ...row, arr_delay: (row.arr_delay || 0) + 1, air_time: (row.air_time || 0) + 1 })

module.exports = { schemaFile, tables, newFlight, editedFlight }
