//! The intended differences from the WatermelonDB client: a list, and nothing else is let pass.
//!
//! Each is a repair of the case (`differences.js`): the client, given the repaired case, must do exactly
//! what syncscope does with the original one. So a difference can't hide another: rows, statuses, columns,
//! pushes, errors and cursors of every step are compared all the same. `docs/watermelon.md` quotes the list.

pub struct Difference {
    /// As in `differences.js`.
    pub name: &'static str,
    /// What the client is given instead.
    pub repair: &'static str,
}

const fn difference(name: &'static str, repair: &'static str) -> Difference {
    Difference { name, repair }
}

pub const DIFFERENCES: &[Difference] = &[
    difference(
        "atomic pull",
        "only the malformed row of an answer that has one",
    ),
    difference("integer ids", "integers as ids written as decimal text"),
    difference(
        "ids of other kinds",
        "a row with a null, boolean, fractional, list or object id without its id",
    ),
    difference(
        "exact integers",
        "another number for an integer that a double can't hold, and back again",
    ),
    difference(
        "halves of surrogate pairs",
        "U+FFFD for an escaped half of a surrogate pair",
    ),
    difference(
        "kept values",
        "in a push, the server's own value in place of what an untouched column holds for it",
    ),
    difference("prototype keys", "a row without its key `__proto__`"),
    difference(
        "own echo",
        "a created row that equals what was pushed, for a row deleted here, as an updated one",
    ),
    difference(
        "edited after its creation was taken",
        "an edit during a push of a row being created, after that push",
    ),
    difference(
        "mask of the later edit",
        "an edit during a push of a row being updated, after that push",
    ),
    difference(
        "created and deleted",
        "a row created and deleted before any push, and in no pull, destroyed without a trace",
    ),
    difference(
        "repeated ids",
        "rows with the same id in pulls one after the other; none that is deleted too",
    ),
    difference(
        "missing arrays",
        "empty lists for those that are missing or null; no table for null",
    ),
    difference(
        "lost acknowledgement",
        "a row pushed without an answer, as acknowledged when the pull shows it",
    ),
    difference(
        "rows that come again",
        "a created row, in a pull from the beginning, with a migration or after a cursor that went back, for a row deleted here, as an updated one",
    ),
    difference(
        "strange rejections",
        "no answer to a push of which a row is rejected that was not in it",
    ),
    difference(
        "cursor as it came",
        "a whole number for a fractional timestamp, and back again",
    ),
    difference(
        "declared defaults",
        "a new row with the declared DEFAULT in its missing columns",
    ),
    difference("strategy without override", "an empty `override`"),
    difference(
        "deletes under a condition",
        "an updated row for every row deleted here that a replacement with a condition leaves out",
    ),
    difference(
        "resolver without status",
        "the resolver's row with the status it would have had",
    ),
];
