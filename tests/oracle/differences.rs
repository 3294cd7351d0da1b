//! The intended differences from the WatermelonDB client: a list, and nothing else is let pass.
//!
//! Each is a repair of the case (`differences.js`): the client, given the repaired case, must do exactly
//! what syncscope does with the original one. So a difference can't hide another: rows, statuses, columns,
//! pushes, errors and cursors of every step are compared all the same. `docs/watermelon.md` quotes the list.

use super::random::features;

pub struct Difference {
    /// As in `differences.js`.
    pub name: &'static str,
    /// What the client is given instead.
    pub repair: &'static str,
    /// Whether cases with it are made.
    pub on: bool,
}

const fn difference(name: &'static str, repair: &'static str) -> Difference {
    Difference {
        name,
        repair,
        on: true,
    }
}

pub const DIFFERENCES: &[Difference] = &[
    difference(
        "atomic pull",
        "of an answer with a malformed row, nothing but that row",
    ),
    difference(
        "integer ids",
        "integers in the place of ids as decimal text",
    ),
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
    difference("prototype keys", "a row without its key `__proto__`"),
    difference(
        "own echo",
        "a created row that is what was pushed, over a row deleted here, as an updated one",
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
        "a row created and deleted before any push, destroyed without a trace",
    ),
    difference(
        "repeated ids",
        "rows with the same id in pulls one after the other; none that is deleted too",
    ),
    difference(
        "missing arrays",
        "empty lists for those that are missing or null",
    ),
    difference(
        "lost acknowledgement",
        "a row pushed without an answer, as acknowledged when the pull shows it",
    ),
    difference(
        "cursor as it came",
        "a whole number for a fractional timestamp, and back again",
    ),
    difference(
        "declared defaults",
        "a new row with the declared DEFAULT in its missing columns",
    ),
    Difference {
        name: "strategy without override",
        repair: "an empty `override`",
        on: features::STRATEGY,
    },
    Difference {
        name: "resolver without status",
        repair: "the resolver's row with the status it would have had",
        on: features::RESOLVER,
    },
];
