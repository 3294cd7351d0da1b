// Syncs two tables through better-sqlite3 (npm install better-sqlite3).
//
// usage: node with_better_sqlite3.js [FILE]    without FILE, in a temporary one
// environment: SYNCSCOPE_LIBRARY, the built library; SYNCSCOPE_BACKEND, the URL of its sync endpoint

const Database = require('better-sqlite3');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

const SCHEMA = `
CREATE TABLE IF NOT EXISTS airlines (carrier TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS planes (tailnum TEXT PRIMARY KEY NOT NULL, manufacturer TEXT, model TEXT, seats INTEGER);
`;

async function example(file) {
  const db = new Database(file);
  db.loadExtension(process.env.SYNCSCOPE_LIBRARY);
  // The first column of the only row.
  const one = (sql, ...parameters) => db.prepare(sql).pluck().get(...parameters);
  const { version } = require('better-sqlite3/package.json');
  console.log(`syncscope ${one('SELECT sync_version()')}, SQLite ${one('SELECT sqlite_version()')}, `
    + `better-sqlite3 ${version} in Node ${process.version}`);

  db.exec(SCHEMA);
  one(`SELECT sync_provider('airline-api', json_object('kind', 'watermelon', 'url', ?))`,
    process.env.SYNCSCOPE_BACKEND);
  one(`SELECT sync_track('airlines')`);
  one(`SELECT sync_track('planes')`);

  // The first sync runs in the background; the tables show its progress.
  one(`SELECT sync_start_scope('startup', '["reference-data"]')`);
  const first = one(`SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]',
                                          '{"background":true}')->>'state'`);
  console.log(`first sync: ${first}`);
  while (one(`SELECT state FROM _syncScope WHERE id = 'startup'`) === 'syncing') await sleep(50);
  const scope = db.prepare(`SELECT state, synced, failed FROM _syncScope WHERE id = 'startup'`).get();
  console.log(`scope startup: ${scope.state}, ${scope.synced} synced, ${scope.failed} failed`);
  for (const status of db.prepare('SELECT entity, state, error FROM _syncStatus ORDER BY entity').all()) {
    console.log(`status ${status.entity}: ${status.error ?? status.state}`);
  }
  if (scope.state !== 'synced') throw new Error('the first sync failed');
  console.log(`rows: ${one('SELECT count(*) FROM airlines')} airlines, ${one('SELECT count(*) FROM planes')} planes`);

  // An edit is captured by itself; the next sync takes it to the backend and waits for the answer.
  db.prepare('UPDATE planes SET seats = seats + 1 WHERE tailnum = ?').run('N10156');
  for (const row of db.prepare('SELECT "table", key, changed FROM sync_pending').all()) {
    console.log(`edited: ${row.table} ${row.key} ${row.changed}`);
  }
  const pushed = one(`SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]')->>'pushed'`);
  const pending = one('SELECT count(*) FROM sync_pending');
  console.log(`second sync: ${pushed} pushed, ${pending} pending`);
  if (pending !== 0) throw new Error('the second sync failed');

  // A call that is wrong is an exception. (A sync that fails is not: see _syncStatus.error.)
  try {
    one(`SELECT sync_entities('reference-data', 'nope', '["planes"]')`);
  } catch (error) {
    console.log(`refused: ${error.message}`);
  }

  // Closing stops a sync that is under way; the next sync makes up for it.
  one(`SELECT sync_entities('reference-data', 'airline-api', '["airlines","planes"]', '{"background":true}')`);
  db.close();
  console.log('closed');
}

async function main() {
  if (process.argv[2]) return example(process.argv[2]);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'syncscope-'));
  try {
    await example(path.join(folder, 'app.db'));
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
