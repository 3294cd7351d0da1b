//! Coordination: scopes, statuses, members, ownership and recovery.
//!
//! The rules of state live in the triggers of `sql/`; this room writes the few things they derive
//! everything else from, inside the caller's transaction, and decides who is alive.

pub mod canonical;
mod clock;
mod farewell;
pub mod interruption;
pub mod lease;
pub mod live;
mod look;
mod meta;
pub mod operation;
pub mod owner;
pub mod recovery;
pub mod result;
pub mod run_record;
pub mod scope;

pub use clock::now;
pub use look::look_first;
pub use meta::installed;
pub use operation::{EntitiesCall, OpenOperation, begin, is_open, is_open_for, live_owner_of};
pub use owner::OwnerId;
pub use recovery::{Recovered, recover, recover_at_load};
pub use result::{Outcome, finish, finish_of};

use std::collections::HashSet;

use crate::store::{Database, Result, Session, ensure_schema, require_current_schema, transact};

/// What a writing call works with: the file, and who is calling.
pub struct Ground<'a> {
    pub database: &'a Database,
    pub owner: OwnerId,
    /// What dead owners had left behind when the call began.
    pub recovered: Recovered,
}

/// Runs the body of a writing call in one transaction: tables are created when missing, renamed columns seen, the
/// caller's lease is renewed and the work of dead owners settled first.
///
/// # Errors
/// Those of the transaction, of the schema and of `body`; everything is undone then.
pub fn write<T>(
    session: &Session,
    schema: &str,
    body: impl FnOnce(&Ground<'_>) -> Result<T>,
) -> Result<T> {
    let database = session.database(schema)?;
    let ours = session.connection().standing().autocommit;
    undoing(session, schema, |adrift| {
        transact(session.connection(), || {
            let committed = match ours {
                true => look::schema(&database)?,
                false => None,
            };
            ensure_schema(&database)?;
            look::look(session, &database, committed)?;
            stand(session, &database, adrift, body)
        })
    })
}

/// The same for a write to one of our virtual tables: the statement that writes is the transaction,
/// and the tables must be there.
///
/// # Errors
/// As [`write`].
pub fn write_within_statement<T>(
    session: &Session,
    body: impl FnOnce(&Ground<'_>) -> Result<T>,
) -> Result<T> {
    let database = session.database("main")?;
    require_current_schema(&database)?;
    undoing(session, "main", |adrift| {
        stand(session, &database, adrift, body)
    })
}

/// What was adrift and closed by a call that fails is adrift again: the call is undone.
fn undoing<T>(
    session: &Session,
    schema: &str,
    call: impl FnOnce(&mut Option<HashSet<i64>>) -> Result<T>,
) -> Result<T> {
    let mut adrift = None;
    let outcome = call(&mut adrift);
    if let (Err(_), Some(statuses)) = (&outcome, adrift) {
        owner::set_adrift(session, schema, statuses);
    }
    outcome
}

fn stand<T>(
    session: &Session,
    database: &Database,
    adrift: &mut Option<HashSet<i64>>,
    body: impl FnOnce(&Ground<'_>) -> Result<T>,
) -> Result<T> {
    farewell::expect(session, database.schema());
    let owner = owner::renew(database, session)?;
    let recovered = recover(database)?;
    *adrift = owner::end_adrift(session, database.schema());
    body(&Ground {
        database,
        owner,
        recovered,
    })
}
