'use strict'
// The intended differences from the client, each as a repair of its case: the client, given the repaired
// case, must do exactly what syncscope does with the original one. The names are those of the list in
// differences.rs, where the reasons stand. A repair that changes anything notes its name in `run.fired`.

const SERVER_COLUMNS = ['created_at', 'updated_at']

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)
const key = (table, id) => JSON.stringify([table, id])

function fire(run, name) {
  run.fired.add(name)
}

// ---------------------------------------------------------------------------------- the answer's text

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
const LARGEST = 9223372036854775807n

/** Whether a number fits 64 bits but not a double. */
function isLarge(token) {
  if (!/^-?\d+$/.test(token) || Number.isSafeInteger(Number(token))) return false
  const number = BigInt(token)
  return number <= LARGEST && number >= -LARGEST - 1n
}

/** A number of no other use, in the place of one that the client can't keep. */
function standIn(run, token) {
  for (const [place, original] of run.standIns) if (original === token) return place
  const place = String(7_000_000_000_000_000 + run.standIns.size)
  run.standIns.set(place, token)
  return place
}

const SURROGATES = /\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]../g

function textOf(run, text) {
  return text.replace(TOKEN, (token) => {
    if (token.startsWith('"')) return run.wants('halves of surrogate pairs') ? whole(run, token) : token
    if (!isLarge(token) || !run.wants('exact integers')) return token
    fire(run, 'exact integers')
    return standIn(run, token)
  })
}

/** A string with U+FFFD for every half of a pair. */
function whole(run, string) {
  return string.replace(SURROGATES, (found) => {
    if (found.length !== 6) return found
    fire(run, 'halves of surrogate pairs')
    return '\\ufffd'
  })
}

/** The outcome with the original numbers in it. */
function restored(run, text) {
  if (!run.standIns.size) return text
  return text.replace(TOKEN, (token) => run.standIns.get(token) || token)
}

// ----------------------------------------------------------------------------------------- the answer

/** The answer as the client is to get it: mostly one, but a repeated id makes several of it. */
function rounds(run, answer) {
  if (!isObject(answer)) return [answer]
  cursor(run, answer)
  strategy(run, answer)
  missingArrays(run, answer)
  if (!isObject(answer.changes)) return [answer]
  for (const table of run.tables) {
    const set = answer.changes[table]
    if (!isObject(set) || !['created', 'updated', 'deleted'].every((kind) => Array.isArray(set[kind]))) continue
    integerIds(run, set)
    refusedIds(run, set)
    prototypes(run, set)
  }
  if (atomicPull(run, answer)) return [answer]
  return repeatedIds(run, answer)
}

function cursor(run, answer) {
  if (!run.wants('cursor as it came') || typeof answer.timestamp !== 'number') return
  if (Number.isInteger(answer.timestamp) || answer.timestamp <= 0) return
  fire(run, 'cursor as it came')
  answer.timestamp = Number(standIn(run, String(answer.timestamp)))
}

function strategy(run, answer) {
  const given = answer.experimentalStrategy
  if (run.wants('strategy without override') && isObject(given) && !('override' in given)) {
    fire(run, 'strategy without override')
    given.override = {}
  }
  if (given && run.given.replacementWhere.length && given !== 'incremental') {
    const base = isObject(given) ? given : { default: given, override: {} }
    const experimentalQueryRecordsForReplacement = run.replacementQueries()
    answer.experimentalStrategy = { ...base, experimentalQueryRecordsForReplacement }
  }
}

function missingArrays(run, answer) {
  if (!run.wants('missing arrays')) return
  const fill = (object, name, empty) => {
    if (object[name] !== undefined && object[name] !== null) return
    fire(run, 'missing arrays')
    object[name] = empty
  }
  if (answer.changes === null) fill(answer, 'changes', {})
  if (!isObject(answer.changes)) return
  for (const table of Object.keys(answer.changes)) {
    if (answer.changes[table] === null) {
      // Not an empty one: a replacement would empty it.
      fire(run, 'missing arrays')
      delete answer.changes[table]
      continue
    }
    if (!isObject(answer.changes[table])) continue
    for (const kind of ['created', 'updated', 'deleted']) fill(answer.changes[table], kind, [])
  }
}

function integerIds(run, set) {
  if (!run.wants('integer ids')) return
  const text = (id) => {
    if (!Number.isInteger(id)) return id
    fire(run, 'integer ids')
    return String(id)
  }
  for (const row of [...set.created, ...set.updated]) {
    if (isObject(row) && Number.isInteger(row.id)) row.id = text(row.id)
  }
  set.deleted = set.deleted.map(text)
}

function refusedIds(run, set) {
  if (!run.wants('ids of other kinds')) return
  const other = (id) => id !== undefined && typeof id !== 'string' && !Number.isInteger(id)
  for (const row of [...set.created, ...set.updated]) {
    if (!isObject(row) || !other(row.id)) continue
    fire(run, 'ids of other kinds')
    delete row.id
  }
  if (!set.deleted.some(other)) return
  fire(run, 'ids of other kinds')
  set.updated.push({})
}

function prototypes(run, set) {
  if (!run.wants('prototype keys')) return
  for (const row of [...set.created, ...set.updated]) {
    if (!isObject(row) || !Object.prototype.hasOwnProperty.call(row, '__proto__')) continue
    fire(run, 'prototype keys')
    delete row['__proto__']
  }
}

/** Leaves nothing but the first malformed row of an answer that will be refused for it. */
function atomicPull(run, answer) {
  if (!run.wants('atomic pull')) return false
  const bad = (row) => !isObject(row) || !('id' in row) || '_status' in row || '_changed' in row
  for (const table of run.tables) {
    const set = answer.changes[table]
    if (!isObject(set) || !Array.isArray(set.created) || !Array.isArray(set.updated)) continue
    const row = [...set.created, ...set.updated].find(bad)
    if (row === undefined) continue
    const rest = Object.values(answer.changes).some(
      (other) => other && [other.created, other.updated, other.deleted].some((list) => list && list.some((item) => item !== row)),
    )
    if (rest || answer.experimentalStrategy) fire(run, 'atomic pull')
    delete answer.experimentalStrategy
    answer.changes = { [table]: { created: [row], updated: [], deleted: [] } }
    return true
  }
  return false
}

/** The rows of an answer in turn: each round has an id once, and none that is deleted as well. */
function repeatedIds(run, answer) {
  if (!run.wants('repeated ids')) return [answer]
  const parts = [{ ...answer, changes: {} }]
  const part = (number) => {
    // What a replacement leaves is decided by the first part, which has every id.
    while (parts.length <= number) parts.push({ ...answer, changes: {}, experimentalStrategy: 'incremental' })
    return parts[number].changes
  }
  for (const table of Object.keys(answer.changes)) {
    const set = answer.changes[table]
    part(0)[table] = set
    if (!run.tables.includes(table) || !isObject(set) || !Array.isArray(set.deleted)) continue
    const deleted = new Set(set.deleted)
    const times = new Map()
    part(0)[table] = { ...set, created: [], updated: [] }
    // In the order of the text, as it is read.
    for (const kind of Object.keys(set).filter((name) => name === 'created' || name === 'updated')) {
      for (const row of set[kind]) {
        const number = times.get(row.id) || 0
        times.set(row.id, number + 1)
        if (number || deleted.has(row.id)) fire(run, 'repeated ids')
        if (deleted.has(row.id)) continue
        const changes = part(number)
        changes[table] = changes[table] || { created: [], updated: [], deleted: [] }
        changes[table][kind].push(row)
      }
    }
  }
  return parts
}

// ------------------------------------------------------------------------------- just before applying

/** Repairs that depend on what stands in the database now. */
async function beforeApply(run, answer) {
  if (!isObject(answer) || !isObject(answer.changes)) return
  for (const table of run.tables) {
    const set = answer.changes[table]
    if (!isObject(set) || !Array.isArray(set.created) || !Array.isArray(set.updated)) continue
    ownEchoes(run, table, set)
    comesAgain(run, table, set)
    for (const row of [...set.created, ...set.updated]) {
      if (isObject(row) && typeof row.id === 'string') await lostAnswer(run, table, row)
    }
    for (const row of [...set.created, ...set.updated]) if (isObject(row)) shown(run, table, row.id)
    for (const row of [...set.created, ...set.updated, ...(set.deleted || []).map((id) => ({ id }))]) {
      const named = isObject(row) && key(table, row.id)
      if (run.unsent.delete(named)) run.undo.push(() => run.unsent.add(named))
    }
    defaults(run, table, set)
    conditionalDeletes(run, table, set, answer.experimentalStrategy)
  }
}

/** Whether a row is what was pushed, `lenient`: as far as it says anything. */
function isEcho(run, table, content, row, lenient) {
  if (!content) return false
  const clean = run.clean(table, row)
  // Nothing is what a column holds for it. What a column can't hold, not even in another form (true as 1), is only the same
  // as just that.
  const sent = run.clean(table, content)
  // JSON.stringify makes null of a number beyond all reals.
  const text = (value) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : JSON.stringify(value))
  const held = (raw, clean) =>
    raw === null || text(raw) === text(clean) || (typeof clean === 'boolean' && raw === Number(clean))
  // So does the journal.
  const was = (name) => {
    const kept = run.kept.get(cell(table, row.id, name))
    return typeof kept === 'number' && !Number.isFinite(kept) ? kept : content[name]
  }
  const same = (name) =>
    text(row[name]) === text(was(name)) ||
    (held(row[name], clean[name]) && held(was(name), sent[name]) && clean[name] === sent[name])
  return run
    .columns(table)
    .filter((name) => !SERVER_COLUMNS.includes(name))
    .every((name) => (name in row ? same(name) : lenient))
}

function ownEchoes(run, table, set) {
  if (!run.wants('own echo')) return
  const echoes = set.created.filter((row) => {
    if (!isObject(row)) return false
    const local = run.stored(table, row.id)
    return local && local._status === 'deleted' && isEcho(run, table, run.journal.content(table, row.id), row, true)
  })
  if (!echoes.length) return
  fire(run, 'own echo')
  set.created = set.created.filter((row) => !echoes.includes(row))
  set.updated.push(...echoes)
}

/** Where rows come again, one that was created says nothing new about a row deleted here. */
function comesAgain(run, table, set) {
  if (!run.again || !run.wants('rows that come again')) return
  const old = set.created.filter((row) => {
    const local = isObject(row) && run.stored(table, row.id)
    return local && local._status === 'deleted'
  })
  if (!old.length) return
  fire(run, 'rows that come again')
  set.created = set.created.filter((row) => !old.includes(row))
  set.updated.push(...old)
}

/** A row created here that the server shows is there too: its delete has to be told. */
function shown(run, table, id) {
  const local = run.live(table, id)
  if (!local || local._status !== 'created' || run.shown.has(key(table, id))) return
  run.shown.add(key(table, id))
  run.undo.push(() => run.shown.delete(key(table, id)))
}

async function lostAnswer(run, table, row) {
  if (!run.wants('lost acknowledgement')) return
  const entry = run.journal.unknown(table, row.id)
  const local = run.live(table, row.id)
  if (!entry || !local || local._status === 'synced') return
  run.undo.push(() => run.restate(table, row.id, local._status, local._changed))
  if (isEcho(run, table, entry.content, row, false)) {
    fire(run, 'lost acknowledgement')
    const later = [...(entry.later || [])]
    await run.restate(table, row.id, later.length ? 'updated' : 'synced', later.join(','))
  } else if (entry.kind === 'created' && local._status === 'created') {
    fire(run, 'lost acknowledgement')
    await run.restate(table, row.id, local._changed ? 'updated' : 'synced', local._changed)
  }
}

function defaults(run, table, set) {
  if (!run.wants('declared defaults')) return
  const declared = run.given.tables.find(({ name }) => name === table).columns.filter((c) => c.default !== null)
  for (const kind of ['created', 'updated']) {
    for (const row of set[kind]) {
      if (!isObject(row)) continue
      const local = run.stored(table, row.id)
      const inserted = !local || (local._status === 'deleted' && kind === 'created')
      for (const column of declared) {
        if (!inserted || column.name in row) continue
        fire(run, 'declared defaults')
        row[column.name] = column.default
      }
    }
  }
}

/** A deleted row can't be asked for a condition any more: only a replacement without one ends its delete. */
function conditionalDeletes(run, table, set, strategy) {
  if (!run.wants('deletes under a condition') || !isObject(strategy)) return
  if (!(table in (strategy.experimentalQueryRecordsForReplacement || {}))) return
  if ((strategy.override[table] || strategy.default) !== 'replacement') return
  const named = new Set([...set.created, ...set.updated].filter(isObject).map((row) => row.id))
  for (const { id } of run.sql(`select id from "${table}" where _status = 'deleted'`)) {
    if (named.has(id) || set.deleted.includes(id)) continue
    fire(run, 'deletes under a condition')
    set.updated.push({ id })
  }
}

// ----------------------------------------------------------------------------------------- kept values

const cell = (table, id, column) => JSON.stringify([table, id, column])

/** Notes what the rows of an answer hold that their columns can't; what the pull makes of it shows later. */
function arriving(run, answer) {
  run.arriving = []
  if (!isObject(answer) || !isObject(answer.changes)) return
  for (const table of run.tables) {
    const set = answer.changes[table]
    if (!isObject(set)) continue
    for (const row of [...(set.created || []), ...(set.updated || [])]) {
      if (isObject(row) && typeof row.id === 'string') run.arriving.push([table, row])
    }
  }
}

/** After a pull: a value is kept where its column was not edited here, and holds what stands for it. */
function arrived(run) {
  for (const [table, row] of run.arriving || []) {
    const local = run.live(table, row.id)
    if (!local) continue
    const clean = run.clean(table, row)
    const edited = local._changed.split(',')
    for (const column of run.columns(table)) {
      if (!(column in row) || edited.includes(column)) continue
      // A resolver that does not take the server's value leaves what is here.
      const chosen = run.chosen.get(key(table, row.id))
      if (chosen && chosen[column] !== row[column]) continue
      const named = cell(table, row.id, column)
      if (run.stays.has(named)) continue
      if (row[column] === clean[column] || local[column] !== run.asStored(clean[column])) run.kept.delete(named)
      else run.kept.set(named, row[column])
    }
  }
  run.arriving = []
  run.chosen.clear()
  run.stays.clear()
}

/** The row here as a resolver sees it: with the values that are kept. */
function withKept(run, table, local) {
  if (!run.wants('kept values')) return local
  const kept = run.columns(table).filter((column) => run.kept.has(cell(table, local.id, column)))
  if (!kept.length) return local
  const shown = { ...local }
  for (const column of kept) shown[column] = run.kept.get(cell(table, local.id, column))
  return shown
}

/** What a resolver made of it, for a client whose columns can't hold such values. */
function keptAgain(run, table, local, shown, row) {
  if (shown === local || !isObject(row)) return row
  const held = { ...row }
  for (const column of run.columns(table)) {
    const named = cell(table, local.id, column)
    if (!run.kept.has(named) || !(column in held) || held[column] !== shown[column]) continue
    fire(run, 'kept values')
    held[column] = local[column]
    run.stays.add(named)
  }
  return held
}

/** The columns of a row were edited, or all of it is new. */
function dropped(run, table, id, columns) {
  for (const column of columns) run.kept.delete(cell(table, id, column))
}

/** A push with the values that are kept. */
function pushed(run, changes) {
  if (!run.wants('kept values')) return changes
  for (const table of Object.keys(changes)) {
    for (const row of [...changes[table].created, ...changes[table].updated]) {
      for (const column of run.columns(table)) {
        const named = cell(table, row.id, column)
        if (!run.kept.has(named)) continue
        fire(run, 'kept values')
        row[column] = run.kept.get(named)
      }
    }
  }
  return changes
}

// ---------------------------------------------------------------------------------------------- edits

/** What to do with an edit instead: `destroy` without a trace, or do it `later`, when the push is over. */
function editDuring(run, { table, op, id }, push) {
  const local = run.live(table, id)
  if (!local || op === 'create') return undefined
  const sent = push && sentAs(push, table, id)
  const taken = sent && push.kind === 'taken' && !(push.rejected[table] || []).includes(id)
  if (taken) {
    const name = sent === 'created' ? 'edited after its creation was taken' : 'mask of the later edit'
    if (!run.wants(name)) return undefined
    if (op === 'update') fire(run, name)
    return 'later'
  }
  if (op !== 'delete' || local._status !== 'created' || !run.wants('created and deleted')) return undefined
  if (run.shown.has(key(table, id))) return undefined
  if (run.journal.mayHave(table, id) || (sent && push.kind === 'lost')) {
    run.unsent.add(key(table, id))
    return undefined
  }
  fire(run, 'created and deleted')
  return 'destroy'
}

function sentAs(push, table, id) {
  const set = push.changes[table]
  return ['created', 'updated'].find((kind) => set[kind].some((row) => row.id === id))
}

/** A row that the server may have had, but that is settled now, was never sent. */
async function afterSync(run) {
  for (const named of [...run.unsent]) {
    const [table, id] = JSON.parse(named)
    if (run.journal.mayHave(table, id)) continue
    run.unsent.delete(named)
    const local = run.stored(table, id)
    if (!local || local._status !== 'deleted') continue
    fire(run, 'created and deleted')
    await run.db.write(() => run.db.adapter.destroyDeletedRecords(table, [id]))
  }
}

/** An answer that rejects a row which was not sent: it may mean one that was, so nobody knows what arrived. */
function strangeRejections(run, push) {
  if (push.kind !== 'taken' || !run.wants('strange rejections')) return
  const sent = (table, id) =>
    Object.values(push.changes[table] || {}).some((list) => list.some((row) => (isObject(row) ? row.id : row) === id))
  const strange = Object.entries(push.rejected).some(([table, ids]) => ids.some((id) => !sent(table, id)))
  if (!strange) return
  fire(run, 'strange rejections')
  push.kind = 'lost'
  push.rejected = {}
}

/** A cursor as the server wrote it. */
function cursorOf(run, cursor) {
  return Number(run.standIns.get(String(cursor)) || cursor)
}

// ------------------------------------------------------------------------------------------ resolvers

/** A resolver's row without a status keeps the status it would have had. */
function resolved(run, table, row, standard) {
  if (isObject(row)) run.chosen.set(key(table, standard.id), { ...standard, ...row })
  if (!isObject(row) || !run.wants('resolver without status')) return row
  const full = { ...standard, ...row, id: standard.id }
  if (!('_status' in row && '_changed' in row && 'id' in row)) fire(run, 'resolver without status')
  return full
}

module.exports = {
  arriving, arrived, withKept, keptAgain, dropped, pushed, textOf, restored, rounds, beforeApply, editDuring, afterSync, strangeRejections, cursorOf, resolved
}
