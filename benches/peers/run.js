'use strict'
// syncscope and WatermelonDB side by side: both in better-sqlite3 on this Node, both against the reference backend
// with all flights of 2013. `make bench-peers` builds what is needed and runs this.
//
// From the environment: LIBRARY, the built library; BACKEND, the built example backend; DATA, a folder with
// the CSV files; ROUNDS (3); ROWS, those edited and those created (100000); SIZES, numbers of flights for the
// figures of memory (100000,336776,1000000); JSON, a file for the figures.
const fs = require('fs')
const os = require('os')
const path = require('path')
const packages = require('./packages')
const backend = require('./backend')
const rounds = require('./rounds')
const sizes = require('./sizes')
const { rowsIn } = require('./data')
const { printSteps, printSizes } = require('./report')

const { DATA, JSON: FILE, ROUNDS = '3', ROWS = '100000', SIZES = '100000,336776,1000000' } = process.env

/** What the figures were measured on. */
function machine() {
  const version = (name) => packages(`${name}/package.json`).version
  const Sqlite = packages('better-sqlite3')
  const db = new Sqlite(':memory:')
  db.loadExtension(process.env.LIBRARY)
  const ask = (sql) => db.prepare(sql).pluck().get()
  return {
    processor: os.cpus()[0].model,
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()}`,
    node: process.version,
    watermelondb: version('@nozbe/watermelondb'),
    betterSqlite3: version('better-sqlite3'),
    sqlite: ask('SELECT sqlite_version()'),
    syncscope: ask('SELECT sync_version()'),
    commit: JSON.parse(ask('SELECT sync_debug()')).commit,
  }
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peers-'))
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))

  const seed = path.join(folder, 'seed.db')
  await (await backend.start(seed, DATA)).stop()
  const steps = await rounds.run(Number(ROUNDS), folder, seed, rowsIn(DATA), Number(ROWS))
  printSteps(steps)
  const memory = await sizes.run(SIZES.split(',').map(Number), folder, DATA)
  printSizes(memory)
  if (!FILE) return
  const figures = { machine: machine(), rounds: Number(ROUNDS), steps, sizes: memory }
  fs.writeFileSync(FILE, `${JSON.stringify(figures, null, 1)}\n`)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
