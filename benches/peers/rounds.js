'use strict'
// Rounds of a first pull, an incremental pull and a push.
const fs = require('fs')
const path = require('path')
const Sqlite = require('./packages')('better-sqlite3')
const backend = require('./backend')
const { CLIENTS, step } = require('./step')

const STEPS = ['first pull', 'incremental pull', 'push']

/** All steps of one client against a backend of its own; `changed` rows are edited there, and created here. */
async function round(client, folder, seed, rows, changed) {
  const data = path.join(folder, `${client}-backend.db`)
  const file = path.join(folder, `${client}.db`)
  backend.copy(seed, data)
  const server = await backend.start(data)
  step(client, 'prepare', file, server.url)
  const figures = { 'first pull': step(client, 'sync', file, server.url) }
  await server.edit(flights(seed, changed))
  figures['incremental pull'] = step(client, 'sync', file, server.url)
  step(client, 'create', file, server.url, changed)
  figures.push = step(client, 'sync', file, server.url)
  await server.stop()
  check(client, figures, [rows, changed, changed])
  compare(client, file, data)
  for (const made of fs.readdirSync(folder)) if (made.startsWith(`${client}`)) fs.rmSync(path.join(folder, made))
  return figures
}

function flights(file, count) {
  const db = new Sqlite(file, { readonly: true })
  const rows = db.prepare('SELECT * FROM flights ORDER BY id LIMIT ?').all(count)
  db.close()
  return rows
}

/** Each step moved what it was meant to. */
function check(client, figures, wanted) {
  const moved = STEPS.map((name) => (name === 'push' ? figures[name].pushed : figures[name].pulled))
  if (moved.join() !== wanted.join()) throw new Error(`${client} moved ${moved} rows instead of ${wanted}`)
}

/** Client and backend hold the same in the end. */
function compare(client, ...files) {
  const sums = files.map((file) => {
    const db = new Sqlite(file, { readonly: true })
    const sum = db.prepare('SELECT count(*), sum(distance), sum(arr_delay), sum(air_time) FROM flights').raw().get()
    db.close()
    return sum.join()
  })
  if (sums[0] !== sums[1]) throw new Error(`${client} has ${sums[0]}, its backend ${sums[1]}`)
}

const median = (values) => [...values].sort((one, two) => one - two)[values.length >> 1]

/** The medians of a step: rows a second by wall and by CPU time, MiB. */
function summary(all, name) {
  const of = (key) => median(all.map((figures) => figures[name][key]))
  const rows = of(name === 'push' ? 'pushed' : 'pulled')
  return {
    rows,
    wallMs: of('wall'),
    cpuMs: of('cpu'),
    memoryMiB: of('memory'),
    perSecond: rows / (of('wall') / 1000),
    perCpuSecond: rows / (of('cpu') / 1000),
  }
}

/** [{ name, syncscope, watermelon }], one for each step. */
async function run(count, folder, seed, rows, changed) {
  const all = Object.fromEntries(CLIENTS.map((client) => [client, []]))
  for (let number = 0; number < count; number += 1) {
    const order = number % 2 ? [...CLIENTS].reverse() : CLIENTS
    for (const client of order) all[client].push(await round(client, folder, seed, rows, changed))
  }
  return STEPS.map((name) => ({
    name,
    ...Object.fromEntries(CLIENTS.map((client) => [client, summary(all[client], name)])),
  }))
}

module.exports = { run }
