'use strict'
// One step of one client, in a process of its own: node client.js CLIENT STEP DATABASE URL [COUNT].
// Prints what it took as JSON: milliseconds of wall and of CPU time, MiB above what was there before, rows.
const fs = require('fs')
const path = require('path')

const [name, step, file, url, count] = process.argv.slice(2)

/** Resident memory now and its peak so far, in MiB. */
function resident() {
  const status = fs.readFileSync('/proc/self/status', 'utf8')
  const of = (key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)[1]) / 1024
  return { now: of('VmRSS'), peak: of('VmHWM') }
}

async function measured(work) {
  const before = resident().now
  const cpu = process.cpuUsage()
  const start = performance.now()
  const rows = await work()
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { wall, cpu: (user + system) / 1000, memory: resident().peak - before, ...rows }
}

async function main() {
  const { prepare, open } = require(path.join(__dirname, 'clients', `${name}.js`))
  if (step === 'prepare') {
    await prepare(file, url)
    return {}
  }
  const client = open(file, url)
  await client.connect()
  if (step === 'create') {
    await client.create(Number(count))
    return {}
  }
  const answer = await measured(() => client.sync())
  if (await client.pending()) throw new Error('some changes were not pushed')
  client.close()
  return answer
}

main().then(
  (answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0)),
  (error) => {
    process.stderr.write(`${name} ${step}: ${error.stack}\n`)
    process.exit(1)
  },
)
