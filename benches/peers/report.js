'use strict'
// The figures as tables of text.

const number = (value) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))
const line = (...cells) => console.log(cells.map((cell, place) => (place ? cell.padStart(14) : cell.padEnd(36))).join(''))

function printSteps(steps) {
  for (const { name, syncscope: ours, watermelon: theirs } of steps) {
    console.log()
    line(`${name}, ${number(ours.rows)} rows`, 'syncscope', 'WatermelonDB', 'times')
    line('rows a second', number(ours.perSecond), number(theirs.perSecond), number(ours.perSecond / theirs.perSecond))
    const cpu = [ours.perCpuSecond, theirs.perCpuSecond]
    line('rows a second of CPU time', ...cpu.map(number), number(cpu[0] / cpu[1]))
    const memory = [ours.memoryMiB, theirs.memoryMiB]
    line('peak memory above the start, MiB', ...memory.map(number), number(memory[1] / memory[0]))
  }
}

function printSizes(sizes) {
  console.log()
  line('first pull, peak memory, MiB', 'syncscope', 'WatermelonDB', 'times')
  for (const { rows, syncscope: ours, watermelon: theirs } of sizes) {
    line(`${number(rows)} rows`, number(ours), number(theirs), number(theirs / ours))
  }
}

module.exports = { printSteps, printSizes }
