'use strict'
// Draws the figures that run.js wrote: node plot.js FIGURES > benchmarks.svg
// Rows a second of CPU time on the left, memory by number of rows on the right.
const fs = require('fs')

const { steps, sizes } = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const CLIENTS = [
  { key: 'syncscope', name: 'syncscope' },
  { key: 'watermelon', name: 'WatermelonDB 0.28' },
]
const short = (value) => (value >= 1e6 ? `${(value / 1e6).toPrecision(2)}M` : value >= 1e3 ? `${Math.round(value / 1e3)}k` : `${Math.round(value)}`)
const text = (x, y, words, more = '') => `<text x="${x}" y="${y}" ${more}>${words}</text>`
const logarithm = (value, low, high) => Math.log(value / low) / Math.log(high / low)

/** A pair of bars for each step. */
function speed(left, top, width) {
  const room = width - 130
  const out = [text(left, top, 'rows a second of CPU time (logarithmic)', 'class="head"')]
  steps.forEach((step, number) => {
    const y = top + 26 + number * 62
    out.push(text(left, y + 22, step.name))
    CLIENTS.forEach(({ key }, place) => {
      const value = step[key].perCpuSecond
      const length = (logarithm(value, 100, 300_000) * (room - 50)).toFixed(1)
      const down = y + place * 22
      out.push(`<rect class="${key}" x="${left + 130}" y="${down}" width="${length}" height="18"/>`)
      out.push(text(left + 136 + Number(length), down + 14, short(value)))
    })
  })
  return out
}

/** A line for each client. */
function memory(left, top, width, height) {
  const [fewest, most] = [sizes[0].rows, sizes[sizes.length - 1].rows]
  const x = (rows) => (left + 50 + logarithm(rows, fewest, most) * (width - 110)).toFixed(1)
  const y = (mebibytes) => (top + height - logarithm(mebibytes, 10, 10_000) * (height - 26)).toFixed(1)
  const out = [text(left, top, 'peak memory of a first pull, MiB', 'class="head"')]
  for (const mark of [10, 100, 1000, 10_000]) {
    out.push(`<line class="grid" x1="${left + 40}" x2="${left + width - 40}" y1="${y(mark)}" y2="${y(mark)}"/>`)
    out.push(text(left + 34, Number(y(mark)) + 4, mark.toLocaleString('en'), 'text-anchor="end"'))
  }
  for (const { rows } of sizes) out.push(text(x(rows), top + height + 18, short(rows), 'text-anchor="middle"'))
  for (const { key } of CLIENTS) {
    const points = sizes.map((size) => [x(size.rows), y(size[key])])
    out.push(`<polyline class="${key}" points="${points.map((point) => point.join()).join(' ')}"/>`)
    points.forEach(([across, down], place) => {
      out.push(`<circle class="${key}" cx="${across}" cy="${down}" r="3"/>`)
      out.push(text(across, Number(down) - 8, Math.round(sizes[place][key]).toLocaleString('en'), 'text-anchor="middle"'))
    })
  }
  out.push(text(left + width / 2, top + height + 36, 'rows (logarithmic, as is the memory)', 'text-anchor="middle"'))
  return out
}

const legend = CLIENTS.flatMap(({ key, name }, place) => [
  `<rect class="${key}" x="${20 + place * 130}" y="268" width="12" height="12"/>`,
  text(38 + place * 130, 278, name),
])

process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 300" role="img" aria-label="syncscope and WatermelonDB: rows a second, and memory">
<style>
text { font: 12px sans-serif; fill: #1f2328; } .head { font-weight: bold; }
.grid { stroke: #8c959f; stroke-width: 0.5; } polyline { fill: none; stroke-width: 2; }
.syncscope { fill: #0969da; stroke: #0969da; } .watermelon { fill: #bc4c00; stroke: #bc4c00; }
polyline.syncscope, polyline.watermelon { fill: none; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .syncscope { fill: #4493f8; stroke: #4493f8; } .watermelon { fill: #db8a4b; stroke: #db8a4b; } }
</style>
${[...speed(20, 30, 400), ...memory(440, 30, 350, 210), ...legend].join('\n')}
</svg>
`)
