//! What is to be looked at before any call writes: whether the tables of the application have been altered meanwhile. What
//! that means is not known here. As long as the schema of the file is as it was, nobody looks again.

use parking_lot::Mutex;

use crate::store::{Database, Result, Session};

/// Looks. True if everything is as it was.
pub type Look = fn(&Database) -> Result<bool>;

/// The look of a connection, and the schema that was last found unchanged.
#[derive(Default)]
struct Watch {
    look: Mutex<Option<Look>>,
    seen: Mutex<Option<i64>>,
}

/// Has every writing call of a connection look first.
pub fn look_first(session: &Session, look: Look) {
    *session.part::<Watch>().look.lock() = Some(look);
}

/// The number of a file's schema, for [`look`]; none where it may be another file's tomorrow: what is attached under a name can
/// change.
///
/// # Errors
/// SQLite's.
pub(super) fn schema(database: &Database) -> Result<Option<i64>> {
    if database.schema() != "main" {
        return Ok(None);
    }
    let version = database.query_value("PRAGMA main.schema_version", &[])?;
    Ok(version.as_i64())
}

/// Looks, if the schema may have changed. Call inside a transaction. `committed`: the number of the schema that nobody can
/// undo any more. One that is undone is given to another schema later, so it is not remembered.
///
/// # Errors
/// Those of the look.
pub(super) fn look(session: &Session, database: &Database, committed: Option<i64>) -> Result<()> {
    let watch = session.part::<Watch>();
    let Some(look) = *watch.look.lock() else {
        return Ok(());
    };
    let now = schema(database)?;
    if now.is_some() && *watch.seen.lock() == now {
        return Ok(());
    }
    if look(database)? && committed.is_some() && committed == now {
        *watch.seen.lock() = now;
    }
    Ok(())
}
