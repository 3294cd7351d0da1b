'use strict'
// First pulls of sets of other sizes: how memory grows with the answer.
const fs = require('fs')
const path = require('path')
const backend = require('./backend')
const { resize, rowsIn } = require('./data')
const { CLIENTS, step } = require('./step')

/** [{ rows, syncscope, watermelon }], one for each number of flights: MiB above what was there before. */
async function run(sizes, folder, csv) {
  const all = []
  for (const size of sizes) {
    const place = path.join(folder, `${size}`)
    resize(csv, place, size)
    const rows = rowsIn(place)
    const server = await backend.start(path.join(place, 'backend.db'), place)
    const memory = CLIENTS.map((client) => {
      const file = path.join(place, `${client}.db`)
      step(client, 'prepare', file, server.url)
      const { pulled, memory } = step(client, 'sync', file, server.url)
      if (pulled !== rows) throw new Error(`${client} pulled ${pulled} rows of ${rows}`)
      return [client, memory]
    })
    await server.stop()
    fs.rmSync(place, { recursive: true })
    all.push({ rows, ...Object.fromEntries(memory) })
  }
  return all
}

module.exports = { run }
