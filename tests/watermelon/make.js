'use strict'
// Makes a database file with the real WatermelonDB, for tests/watermelon/takeover.rs.
//
// node make.js DIRECTORY
//   app.db      as the client left it: synced once, then edited, nothing pushed
//   told.json   {"requests": [pull, push]}: what the same client then does in its next sync

process.env.NODE_ENV = 'production'
for (const level of ['log', 'warn', 'error']) console[level] = () => {}

const fs = require('fs')
const path = require('path')
// The packages stand in a folder that the tests share.
const packages = require('module').createRequire(path.join(__dirname, '../node/package.json'))

const { Database, Model, appSchema, tableSchema } = packages('@nozbe/watermelondb')
const { default: SQLiteAdapter } = packages('@nozbe/watermelondb/adapters/sqlite')
const { synchronize } = packages('@nozbe/watermelondb/sync')

const FIRST_PULL = 1700000000123
const SECOND_PULL = 1700000005000

const schema = appSchema({
  version: 3,
  tables: [
    tableSchema({
      name: 'lists',
      columns: [{ name: 'name', type: 'string' }],
    }),
    tableSchema({
      name: 'tasks',
      columns: [
        { name: 'list_id', type: 'string', isIndexed: true },
        { name: 'title', type: 'string' },
        { name: 'note', type: 'string', isOptional: true },
        { name: 'done', type: 'boolean' },
        { name: 'urgent', type: 'boolean', isOptional: true },
        { name: 'position', type: 'number' },
        { name: 'weight', type: 'number', isOptional: true },
        { name: 'created_at', type: 'number' },
        { name: 'updated_at', type: 'number' },
      ],
    }),
    tableSchema({ name: 'empty', columns: [{ name: 'x', type: 'string' }] }),
  ],
})

const modelClasses = Object.keys(schema.tables).map((table) => {
  class Row extends Model {}
  Row.table = table
  return Row
})

const set = (values) => (record) => {
  if (values.id) record._raw.id = values.id
  Object.keys(values)
    .filter((name) => name !== 'id')
    .forEach((name) => record._setRaw(name, values[name]))
}

const task = (id, more) => ({
  id,
  list_id: 'l1',
  title: `task ${id}`,
  note: null,
  done: false,
  urgent: null,
  position: 1,
  weight: null,
  created_at: 1690000000000,
  updated_at: 1690000000000.5,
  ...more,
})

const nothing = { created: [], updated: [], deleted: [] }

async function edit(db) {
  const tasks = db.get('tasks')
  const lists = db.get('lists')
  const find = (id) => tasks.find(id)
  const create = (values) => tasks.create(set(values))

  await create(task('c1', { title: `it's "new"\n\u{1f600}`, position: 2.5, urgent: true }))
  const edited = await create(task('c2', { weight: 1e20, position: -3 }))
  await edited.update(set({ title: 'edited since', done: true }))
  await lists.create(set({ id: 'l2', name: '' }))

  await (await find('s1')).update(set({ title: 'changed here' }))
  await (await find('s2')).update(set({ done: true, position: 40, note: 'a note' }))
  await (await find('s2')).update(set({ weight: 0.1 }))
  // There and back is a change too.
  await (await find('s3')).update(set({ urgent: true }))
  await (await find('s3')).update(set({ urgent: null }))
  await (await lists.find('l1')).update(set({ name: 'Garden' }))

  await (await find('d1')).markAsDeleted()
  await (await find('d2')).update(set({ title: 'edited, then deleted' }))
  await (await find('d2')).markAsDeleted()
  const gone = await create(task('c3'))
  await gone.markAsDeleted()
}

async function main(directory) {
  const file = path.join(directory, 'client.db')
  const db = new Database({ adapter: new SQLiteAdapter({ dbName: file, schema }), modelClasses })
  await synchronize({
    database: db,
    pullChanges: async () => ({
      changes: {
        lists: { ...nothing, created: [{ id: 'l1', name: 'House' }] },
        tasks: {
          ...nothing,
          created: ['s1', 's2', 's3', 's4', 'd1', 'd2'].map((id) => task(id)),
        },
        empty: nothing,
      },
      timestamp: FIRST_PULL,
    }),
    pushChanges: async () => {
      throw new Error('there is nothing to push yet')
    },
  })
  await db.write(() => edit(db))
  fs.copyFileSync(file, path.join(directory, 'app.db'))

  const requests = []
  await synchronize({
    database: db,
    pullChanges: async (request) => {
      requests.push(request)
      return { changes: { lists: nothing, tasks: nothing, empty: nothing }, timestamp: SECOND_PULL }
    },
    pushChanges: async (request) => {
      requests.push(JSON.parse(JSON.stringify(request)))
    },
  })
  fs.writeFileSync(path.join(directory, 'told.json'), JSON.stringify({ requests }))
}

main(process.argv[2]).catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})
