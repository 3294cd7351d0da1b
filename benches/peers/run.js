'use strict'
// syncscope and WatermelonDB side by side: both in better-sqlite3 on this Node, both against the reference backend
// with all flights of 2013. `make bench-peers` builds what is needed and runs this.
//
// From the environment: LIBRARY, the built library; BACKEND, the built example backend; DATA, a folder with
// the CSV files; ROUNDS (3); ROWS, those edited and those created (100000); JSON, a file for the figures.
const { spawnSync } = require('child_process')
const fs = require('fs')
const os = require('os')
const path = require('path')
const Sqlite = require('better-sqlite3')
const backend = require('./backend')

const CLIENTS = ['syncscope', 'watermelon']
const CHANGED = Number(process.env.ROWS || 100_000) // edited at the backend, and created here
const ROUNDS = Number(process.env.ROUNDS || 3)
const STEPS = [
  { name: 'first pull', rows: 'pulled' },
  { name: 'incremental pull', rows: 'pulled' },
  { name: 'push', rows: 'pushed' },
]

function client(name, step, file, url, count = '') {
  const run = spawnSync(process.execPath, [path.join(__dirname, 'client.js'), name, step, file, url, String(count)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`${name} failed in ${step}`)
  return JSON.parse(run.stdout)
}

/** All steps of one client against a backend of its own. */
async function round(name, folder, seed) {
  const data = path.join(folder, `${name}-backend.db`)
  const file = path.join(folder, `${name}.db`)
  backend.copy(seed, data)
  const server = await backend.start(data)
  client(name, 'prepare', file, server.url)
  const figures = { 'first pull': client(name, 'sync', file, server.url) }
  await server.edit(flights(seed, CHANGED))
  figures['incremental pull'] = client(name, 'sync', file, server.url)
  client(name, 'create', file, server.url, CHANGED)
  figures.push = client(name, 'sync', file, server.url)
  await server.stop()
  check(name, figures, file, data)
  for (const made of fs.readdirSync(folder)) if (made.startsWith(`${name}`)) fs.rmSync(path.join(folder, made))
  return figures
}

function flights(file, count) {
  const db = new Sqlite(file, { readonly: true })
  const rows = db.prepare('SELECT * FROM flights ORDER BY id LIMIT ?').all(count)
  db.close()
  return rows
}

/** Client and backend hold the same in the end, and each step moved what it was meant to. */
function check(name, figures, file, data) {
  const sums = [file, data].map((path) => {
    const db = new Sqlite(path, { readonly: true })
    const sum = db.prepare('SELECT count(*), sum(distance), sum(arr_delay), sum(air_time) FROM flights').raw().get()
    db.close()
    return sum.join()
  })
  if (sums[0] !== sums[1]) throw new Error(`${name} has ${sums[0]}, its backend ${sums[1]}`)
  const moved = [figures['incremental pull'].pulled, figures.push.pushed]
  if (moved.join() !== [CHANGED, CHANGED].join()) throw new Error(`${name} moved ${moved}`)
}

const median = (values) => [...values].sort((one, two) => one - two)[values.length >> 1]

/** The medians of a step: rows a second by wall and by CPU time, MiB. */
function summary(rounds, step) {
  const of = (key) => median(rounds.map((figures) => figures[step.name][key]))
  const rows = of(step.rows)
  return {
    rows,
    wallMs: of('wall'),
    cpuMs: of('cpu'),
    memoryMiB: of('memory'),
    perSecond: rows / (of('wall') / 1000),
    perCpuSecond: rows / (of('cpu') / 1000),
  }
}

function print(all) {
  const number = (value) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))
  const line = (...cells) => console.log(cells.map((cell, place) => (place ? cell.padStart(14) : cell.padEnd(34))).join(''))
  for (const step of all) {
    const [ours, theirs] = CLIENTS.map((name) => step[name])
    line(`\n${step.name}, ${number(ours.rows)} rows`, ' syncscope', 'WatermelonDB', 'times')
    line('rows a second', number(ours.perSecond), number(theirs.perSecond), number(ours.perSecond / theirs.perSecond))
    line('rows a second of CPU time', number(ours.perCpuSecond), number(theirs.perCpuSecond), number(ours.perCpuSecond / theirs.perCpuSecond))
    line('peak memory above the start, MiB', number(ours.memoryMiB), number(theirs.memoryMiB), number(theirs.memoryMiB / ours.memoryMiB))
  }
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'peers-'))
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  const seed = path.join(folder, 'seed.db')
  const server = await backend.start(seed, process.env.DATA)
  await server.stop()
  const rounds = Object.fromEntries(CLIENTS.map((name) => [name, []]))
  for (let number = 0; number < ROUNDS; number += 1) {
    const order = number % 2 ? [...CLIENTS].reverse() : CLIENTS
    for (const name of order) rounds[name].push(await round(name, folder, seed))
  }
  const all = STEPS.map((step) => ({
    name: step.name,
    ...Object.fromEntries(CLIENTS.map((name) => [name, summary(rounds[name], step)])),
  }))
  print(all)
  if (!process.env.JSON) return
  const version = (name) => require(`${name}/package.json`).version
  const db = new Sqlite(':memory:')
  const figures = {
    rounds: ROUNDS,
    node: process.version,
    watermelondb: version('@nozbe/watermelondb'),
    betterSqlite3: version('better-sqlite3'),
    sqlite: db.prepare('SELECT sqlite_version()').pluck().get(),
    steps: all,
  }
  fs.writeFileSync(process.env.JSON, `${JSON.stringify(figures, null, 1)}\n`)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
