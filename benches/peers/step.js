'use strict'
// Runs one step of a client, in a process of its own.
const { spawnSync } = require('child_process')
const path = require('path')

const CLIENTS = ['syncscope', 'watermelon']
const PROGRAM = path.join(__dirname, 'client.js')

/** What the step took; see client.js. */
function step(client, name, file, url, count = '') {
  const run = spawnSync(process.execPath, [PROGRAM, client, name, file, url, String(count)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`${client} failed in ${name}`)
  return JSON.parse(run.stdout)
}

module.exports = { CLIENTS, step }
