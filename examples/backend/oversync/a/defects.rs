//! What is wrong with the real server, as the recordings show it.

/// Each is on at the start, as recorded; off, the server does what one would have expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defects {
    /// In a request with two or more upserts (or deletes) the refused ones of them stay in the log all the
    /// same, where other devices read them; nor does a second change of one row see the first. Off: refused
    /// changes leave nothing, and changes of one row follow each other.
    pub phantoms: bool,
    /// A change id that is known is answered `applied` without a version, and its content is dropped. Off: the
    /// same content gets its version again, other content is refused.
    pub swallows_replays: bool,
    /// A null, a number or a boolean in a foreign key ends the connection. Off: null is fine, the others are
    /// refused.
    pub null_key_closes: bool,
    /// A foreign key that is still broken when the request is stored is a 500 for the whole request: a deleted
    /// parent with a living child, a child whose parent was refused. Off: those changes get `fk_missing`, the
    /// others are applied.
    pub late_keys_fail: bool,
    /// A row that cannot be projected is `applied` all the same. Off: it is `materialize_error`.
    pub hides_projection: bool,
    /// A change gets its number before it is stored, so that a slow one appears below the cursors of others.
    /// Off: numbers are in the order of storing.
    pub numbers_early: bool,
    /// A change that meets another under way is answered `internal_error`. Off: it waits for it.
    pub collisions: bool,
    /// The server's row of a conflict comes with its members in another order and its numbers spelled
    /// otherwise, and a text with U+0000 or half a surrogate pair makes it a 500. Off: it comes as it was sent.
    pub rewrites_images: bool,
    /// All users share the projected rows, and so the rows that foreign keys are checked against. Off: each has
    /// their own.
    pub shares_projection: bool,
    /// While the log is gone, a download is answered with an empty page and the window 0. Off: 500.
    pub hides_breakdown: bool,
}

impl Default for Defects {
    fn default() -> Defects {
        Defects {
            phantoms: true,
            swallows_replays: true,
            null_key_closes: true,
            late_keys_fail: true,
            hides_projection: true,
            numbers_early: true,
            collisions: true,
            rewrites_images: true,
            shares_projection: true,
            hides_breakdown: true,
        }
    }
}

impl Defects {
    /// A server without any of them.
    pub fn none() -> Defects {
        Defects {
            phantoms: false,
            swallows_replays: false,
            null_key_closes: false,
            late_keys_fail: false,
            hides_projection: false,
            numbers_early: false,
            collisions: false,
            rewrites_images: false,
            shares_projection: false,
            hides_breakdown: false,
        }
    }
}
