'use strict'
// The data: CSV files of the whole year, and sets of other sizes made from them.
const fs = require('fs')
const path = require('path')

const TABLES = ['airlines', 'airports', 'planes', 'flights']
const YEAR = 2013

const linesOf = (file) => fs.readFileSync(file, 'utf8').trimEnd().split('\n')

/** How many rows the files of a folder have. */
const rowsIn = (folder) => TABLES.reduce((sum, table) => sum + linesOf(path.join(folder, `${table}.csv`)).length - 1, 0)

/** Makes a folder with `count` flights: part of the year, or the year again as 2014, 2015 and so on. */
function resize(from, to, count) {
  fs.mkdirSync(to)
  for (const table of TABLES.slice(0, -1)) fs.copyFileSync(path.join(from, `${table}.csv`), path.join(to, `${table}.csv`))
  const [header, ...flights] = linesOf(path.join(from, 'flights.csv'))
  const file = fs.openSync(path.join(to, 'flights.csv'), 'w')
  fs.writeSync(file, `${header}\n`)
  for (let done = 0; done < count; done += flights.length) {
    const year = YEAR + done / flights.length
    const some = flights.slice(0, count - done).map((line) => line.replaceAll(`${YEAR}-`, `${year}-`))
    fs.writeSync(file, `${some.join('\n')}\n`)
  }
  fs.closeSync(file)
}

module.exports = { TABLES, rowsIn, resize }
