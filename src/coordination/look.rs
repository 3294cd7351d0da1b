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

/// Looks, if the schema may have changed. Call inside a transaction. `ours`: nobody can undo it but we, so that the number of
/// its schema is not used for another one.
///
/// # Errors
/// Those of the look.
pub(super) fn look(session: &Session, database: &Database, ours: bool) -> Result<()> {
    let watch = session.part::<Watch>();
    let Some(look) = *watch.look.lock() else {
        return Ok(());
    };
    // Another file may be attached under the name of one that was looked at.
    let lasting = ours && database.schema() == "main";
    let version = database.query_value("PRAGMA main.schema_version", &[])?;
    let version = version.as_i64().filter(|_| lasting);
    if version.is_some() && *watch.seen.lock() == version {
        return Ok(());
    }
    let unchanged = look(database)?;
    *watch.seen.lock() = version.filter(|_| unchanged);
    Ok(())
}
