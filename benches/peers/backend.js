'use strict'
// Runs examples/backend on a copy of its data.
const { spawn } = require('child_process')
const fs = require('fs')
const { TABLES } = require('./data')
const { schemaFile, editedFlight } = require('./tables')

/** Starts the backend on a database file, which `csv` (a folder) fills when it is new. */
async function start(file, csv) {
  const options = ['--port', '0', '--schema', schemaFile, '--db', file]
  for (const table of csv ? TABLES : []) {
    options.push('--csv', `${table}=${csv}/${table}.csv`)
  }
  const child = spawn(process.env.BACKEND, options, { stdio: ['ignore', 'pipe', 'inherit'] })
  const end = () => child.kill()
  process.on('exit', end)
  const origin = await new Promise((resolve, reject) => {
    child.stdout.on('data', (text) => resolve(/listening on (\S+)/.exec(text)[1]))
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`the backend ended with ${code}`)))
  })
  return {
    url: `${origin}/sync`,
    /** Another client's edit of the first flights; it gets them from the backend itself. */
    async edit(flights) {
      const pull = await (await fetch(`${origin}/sync?last_pulled_at=null&tables=airlines`)).json()
      const body = JSON.stringify({ flights: { created: [], updated: flights.map(editedFlight), deleted: [] } })
      const answer = await fetch(`${origin}/sync?last_pulled_at=${pull.timestamp}`, { method: 'POST', body })
      if (!answer.ok) throw new Error(await answer.text())
    },
    stop: () =>
      new Promise((resolve) => {
        process.off('exit', end)
        child.removeAllListeners('exit')
        child.on('exit', resolve)
        child.kill()
      }),
  }
}

/** Copies a database file that nobody has open. */
function copy(from, to) {
  for (const end of ['', '-wal', '-shm']) if (fs.existsSync(from + end)) fs.copyFileSync(from + end, to + end)
}

module.exports = { start, copy }
