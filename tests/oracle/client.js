'use strict'
// The WatermelonDB client, run over cases from tests/oracle: a request per line comes in,
// an answer per line goes out, in the same order.
//
// request: {"case": {...}, "off": [names]}   `off`: differences that are not to be applied
// answer:  {"steps": [what was seen after each step], "fired": [names], "cells": {...}}, or {"broken": text}

process.env.NODE_ENV = 'production'
for (const level of ['log', 'warn', 'error']) console[level] = () => {}

const readline = require('readline')
const path = require('path')
// The packages stand in a folder that the tests share.
const packages = require('module').createRequire(path.join(__dirname, '../node/package.json'))

const { Database, Model, Q, appSchema, tableSchema } = packages('@nozbe/watermelondb')
const { default: SQLiteAdapter } = packages('@nozbe/watermelondb/adapters/sqlite')
const { default: Bridge } = packages('@nozbe/watermelondb/adapters/sqlite/sqlite-node/DatabaseBridge')
const { schemaMigrations, createTable, addColumns, unsafeExecuteSql } = packages('@nozbe/watermelondb/Schema/migrations')
const { synchronize } = packages('@nozbe/watermelondb/sync')
const { sanitizedRaw } = packages('@nozbe/watermelondb/RawRecord')
const Journal = require('./journal')
const differences = require('./differences')

/** Half a surrogate pair becomes U+FFFD in the file; in memory the client keeps it until the row is read anew. */
const wellFormed = (_, value) => (typeof value === 'string' ? value.toWellFormed() : value)
const copy = (value) => JSON.parse(JSON.stringify(value, wellFormed))
const quoted = (name) => `"${name}"`
const fields = (changed) => (changed ? changed.split(',').sort() : [])

/** Thrown to end a sync after its pull. */
const NO_PUSH = new Error('the pull goes on')

/** One case on a database of its own. */
class Run {
  constructor(given, off) {
    this.given = given
    this.off = new Set(off)
    this.fired = new Set()
    this.cells = {}
    this.standIns = new Map()
    /** The highest cursor so far. */
    this.reached = 0
    this.journal = new Journal()
    /** Rows created and deleted here whose push nobody has answered. */
    this.unsent = new Set()
    /** Rows created here that a pull has shown. */
    this.shown = new Set()
    this.schema = appSchema({
      version: given.schemaVersion,
      tables: given.tables.map(({ name, columns }) =>
        tableSchema({
          name,
          columns: columns.map((c) => ({ name: c.name, type: c.kind, isOptional: c.optional })),
        }),
      ),
    })
    const modelClasses = given.tables.map(({ name }) => {
      class Row extends Model {}
      Row.table = name
      return Row
    })
    this.adapter = new SQLiteAdapter({ dbName: ':memory:', schema: this.schema })
    this.db = new Database({ adapter: this.adapter, modelClasses })
    this.tables = given.tables.map(({ name }) => name)
    /** Values that came, by the column that can't hold them. */
    this.kept = new Map()
    /** What a resolver has made of rows in this pull. */
    this.chosen = new Map()
    /** Columns whose kept value a resolver wants to stay. */
    this.stays = new Set()
  }

  close() {
    const connection = Bridge.connections[this.adapter._tag]
    delete Bridge.connections[this.adapter._tag]
    connection.driver.database.instance.close()
  }

  /** Whether a difference is to be applied. */
  wants(name) {
    return !this.off.has(name)
  }

  sql(text, args = []) {
    return Bridge.connections[this.adapter._tag].driver.database.instance.prepare(text).all(...args)
  }

  /** The row as it stands in the file, also a deleted one. */
  stored(table, id) {
    return this.sql(`select * from ${quoted(table)} where id = ?`, [id])[0]
  }

  /** The row unless it is deleted. */
  live(table, id) {
    const row = this.stored(table, id)
    return row && row._status !== 'deleted' ? row : undefined
  }

  columns(table) {
    return this.schema.tables[table].columnArray.map((column) => column.name)
  }

  /** A value as SQLite gives it back. */
  asStored(value) {
    return typeof value === 'boolean' ? Number(value) : value
  }

  clean(table, row) {
    return sanitizedRaw(row, this.schema.tables[table])
  }

  // ------------------------------------------------------------------------------------------ editing

  async edit(list, push) {
    for (const edit of list) {
      const action = differences.editDuring(this, edit, push)
      if (action === 'later') push.later.push(edit)
      else await this.db.write(() => this.editOne(edit, action))
    }
  }

  async editOne({ table, op, id, set }, action) {
    const collection = this.db.get(table)
    if (op === 'create') {
      if (this.stored(table, id)) return
      differences.dropped(this, table, id, this.columns(table))
      await collection.create((record) => {
        record._raw.id = id
        Object.keys(set).forEach((name) => record._setRaw(name, set[name]))
      })
      this.shown.delete(JSON.stringify([table, id]))
      return
    }
    const before = this.live(table, id)
    if (!before) return
    const record = await collection.find(id)
    if (op === 'update') {
      await record.update(() => Object.keys(set).forEach((name) => record._setRaw(name, set[name])))
      const after = this.stored(table, id)
      const moved = this.columns(table).filter((name) => before[name] !== after[name])
      differences.dropped(this, table, id, moved)
      if (moved.length) this.journal.edited(table, id, moved)
    } else {
      this.journal.edited(table, id, [])
      differences.dropped(this, table, id, this.columns(table))
      if (action === 'destroy') await record.destroyPermanently()
      else await record.markAsDeleted()
    }
  }

  /** Gives a row another status, as if the client had found it like that. */
  async restate(table, id, status, changed) {
    const record = await this.db.get(table).find(id)
    await this.db.write(() =>
      this.db.batch(
        record.prepareUpdate(() => {
          record._raw = { ...record._raw, _status: status, _changed: changed }
        }),
      ),
    )
  }

  // ------------------------------------------------------------------------------------------ syncing

  async sync(step) {
    const seen = { error: null, pulls: [], pushes: [] }
    const push = { ...step.push, later: [], changes: null }
    let rounds = null
    let ended = null
    /** What to take back when the pull fails. */
    this.undo = []
    const pullChanges = async (args) => {
      if (!rounds) {
        seen.pulls.push(copy(args))
        this.again = !args.lastPulledAt || !!args.migration || differences.cursorOf(this, args.lastPulledAt) < this.reached
        await this.edit(step.duringPull)
        if (step.pullFails) throw new Error('no answer')
        const answer = JSON.parse(differences.textOf(this, step.answer))
        this.count(answer)
        rounds = differences.rounds(this, answer)
      }
      const answer = rounds.shift()
      differences.arrived(this)
      await differences.beforeApply(this, answer)
      this.brings = answer.timestamp
      differences.arriving(this, answer)
      return answer
    }
    const pushChanges = async ({ changes, lastPulledAt }) => {
      if (rounds.length) throw NO_PUSH
      differences.arrived(this)
      push.changes = differences.pushed(this, copy(changes))
      seen.pushes.push({ lastPulledAt, changes: push.changes })
      this.pulled()
      this.journal.open(push.changes)
      differences.strangeRejections(this, push)
      await this.edit(step.duringPush, push)
      if (push.kind !== 'taken') throw new Error(push.kind)
      return Object.keys(push.rejected).length ? { experimentalRejectedIds: copy(push.rejected) } : undefined
    }
    do {
      ended = await synchronize({ ...this.options(), pullChanges, pushChanges }).catch((error) => error)
    } while (rounds && rounds.length && (!ended || ended === NO_PUSH))
    if (!ended || push.changes) this.reached = Math.max(this.reached, differences.cursorOf(this, this.brings))
    if (ended) seen.error = push.changes ? 'push' : 'pull'
    else differences.arrived(this)
    this.arriving = []
    if (ended && !push.changes) for (const undo of this.undo.reverse()) await undo()
    if (!ended && !push.changes) this.pulled()
    if (push.changes) this.journal.close(push.kind, push.rejected)
    await this.edit(push.later)
    await differences.afterSync(this)
    return { ...seen, ...this.look() }
  }

  /** A pull was committed. */
  pulled() {
    this.journal.pulled((table, id) => {
      const local = this.stored(table, id)
      return local && local._status !== 'synced'
    })
  }

  options() {
    const { resolver, sendCreatedAsUpdated } = this.given
    const options = { database: this.db, log: {}, sendCreatedAsUpdated }
    if (this.enabledAt !== undefined) options.migrationsEnabledAtVersion = this.enabledAt
    if (resolver) {
      const resolve = new Function('table', 'local', 'remote', 'resolved', `return ${resolver.js}`)
      options.conflictResolver = (table, local, remote, resolved) => {
        const shown = differences.withKept(this, table, local)
        const row = differences.keptAgain(this, table, local, shown, resolve(table, shown, remote, resolved))
        return differences.resolved(this, table, row, resolved)
      }
    }
    return options
  }

  /** The program is replaced by one with another schema version. Tables stay as they are. */
  upgrade({ schemaVersion, migrations, enabledAt }) {
    this.schema.version = schemaVersion
    this.enabledAt = enabledAt === null ? undefined : enabledAt
    const step = (given) => {
      if (given.type === 'create_table') return createTable({ name: given.name, columns: [] })
      if (given.type === 'sql') return unsafeExecuteSql('select 1;')
      const columns = given.columns.map((name) => ({ name, type: 'string' }))
      return addColumns({ table: given.table, columns })
    }
    const list = migrations.map(({ toVersion, steps }) => ({ toVersion, steps: steps.map(step) }))
    this.adapter.migrations = migrations.length ? schemaMigrations({ migrations: list }) : undefined
  }

  /** The conditions a replacement is limited to. */
  replacementQueries() {
    const queries = {}
    for (const { table, column, value } of this.given.replacementWhere) {
      queries[table] = () => [Q.where(column, value)]
    }
    return queries
  }

  // ------------------------------------------------------------------------------------------ looking

  /** Counts which cells of the decision table an answer reaches. */
  count(answer) {
    const changes = answer && answer.changes
    if (!changes || typeof changes !== 'object') return
    for (const table of this.tables) {
      const set = changes[table]
      for (const kind of ['created', 'updated', 'deleted']) {
        const list = set && Array.isArray(set[kind]) ? set[kind] : []
        for (const row of list) {
          const id = kind === 'deleted' ? row : row && row.id
          if (typeof id !== 'string') continue
          const local = this.stored(table, id)
          const status = local ? local._status + (local._status !== 'deleted' && local._changed ? '+' : '') : 'absent'
          const cell = `${status}/${kind}`
          this.cells[cell] = (this.cells[cell] || 0) + 1
        }
      }
    }
  }

  look() {
    const rows = {}
    for (const table of this.tables) {
      rows[table] = {}
      for (const { id, _status, _changed, ...values } of this.sql(`select * from ${quoted(table)}`)) {
        rows[table][id] =
          _status === 'deleted'
            ? { status: _status, changed: [], values: null }
            : { status: _status, changed: fields(_changed), values }
      }
    }
    const key = '__watermelon_last_pulled_at'
    const [cursor] = this.sql('select value from local_storage where key = ?', [key])
    return { cursor: cursor ? Number(cursor.value) : null, rows }
  }

  async steps() {
    await this.adapter.getLocal('ready', () => {})
    const seen = []
    for (const step of this.given.steps) {
      if (step.edit) {
        await this.edit(step.edit)
        seen.push(this.look())
      } else if (step.upgrade) {
        this.upgrade(step.upgrade)
        seen.push(this.look())
      } else {
        seen.push(await this.sync(step.sync))
      }
    }
    return seen
  }
}

async function answer(line) {
  const request = JSON.parse(line)
  let run
  try {
    run = new Run(request.case, request.off)
    const steps = await run.steps()
    const text = JSON.stringify({ steps, fired: [...run.fired], cells: run.cells })
    return differences.restored(run, text)
  } catch (error) {
    return JSON.stringify({ broken: String(error.stack) })
  } finally {
    if (run) run.close()
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write((await answer(line)) + '\n')
  }
}

main()
