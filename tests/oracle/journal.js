'use strict'
// What a client that keeps a journal of its pushes would know. The WatermelonDB client keeps none, so the
// differences that rest on one are worked out from this.

/** Committed pulls after which an entry goes. */
const PULLS = 2

class Journal {
  constructor() {
    /** {table, id, kind, content, state: open | acknowledged | unknown, pulls, later} as they were pushed. */
    this.entries = []
  }

  of(table, id) {
    return this.entries.filter((entry) => entry.table === table && entry.id === id)
  }

  /** What was sent last under an id, whatever became of it. */
  content(table, id) {
    const sent = this.of(table, id).filter((entry) => entry.content)
    return sent.length ? sent[sent.length - 1].content : undefined
  }

  /** The last push of a row that nobody has answered. */
  unknown(table, id) {
    const sent = this.of(table, id).filter((entry) => entry.state === 'unknown' && entry.content)
    return sent[sent.length - 1]
  }

  /** Whether the server may have a row that was created here, without our knowing it. */
  mayHave(table, id) {
    return this.of(table, id).some((entry) => entry.state === 'unknown' && entry.kind === 'created')
  }

  /** Columns of a row were changed, or the row was deleted. */
  edited(table, id, columns) {
    for (const entry of this.of(table, id)) {
      entry.later = entry.later || new Set()
      columns.forEach((name) => entry.later.add(name))
    }
  }

  /** A pull was committed. That a row may have been created there is remembered as long as it waits. */
  pulled(waits) {
    this.entries.forEach((entry) => (entry.pulls += 1))
    const mayBeThere = ({ state, kind, table, id }) => state === 'unknown' && kind === 'created' && waits(table, id)
    this.entries = this.entries.filter((entry) => entry.pulls < PULLS || mayBeThere(entry))
  }

  /** A push is on its way. */
  open(changes) {
    const add = (table, kind, id, content) =>
      this.entries.push({ table, id, kind, content, state: 'open', pulls: 0, later: null })
    for (const table of Object.keys(changes)) {
      changes[table].created.forEach((row) => add(table, 'created', row.id, row))
      changes[table].updated.forEach((row) => add(table, 'updated', row.id, row))
      changes[table].deleted.forEach((id) => add(table, 'deleted', id, null))
    }
  }

  /** It has ended: `taken` but for the rejected ids, `refused`, or `lost`, so that nobody knows. */
  close(kind, rejected) {
    const gone = (entry) =>
      entry.state === 'open' && (kind === 'refused' || (rejected[entry.table] || []).includes(entry.id))
    this.entries = this.entries.filter((entry) => !gone(entry))
    const closed = this.entries.filter((entry) => entry.state === 'open')
    closed.forEach((entry) => (entry.state = kind === 'taken' ? 'acknowledged' : 'unknown'))
    const answered = (old) =>
      closed.some(
        (entry) =>
          entry !== old &&
          entry.table === old.table &&
          entry.id === old.id &&
          // A newer push says all that an unanswered one did, except that the row was created.
          (kind === 'taken' || entry.kind === 'created' || old.kind !== 'created'),
      )
    this.entries = this.entries.filter(
      (old) => old.state !== 'unknown' || closed.includes(old) || !answered(old),
    )
  }
}

module.exports = Journal
