//! What happens when a connection that is at work closes.

use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::{owner, recovery};
use crate::store::Session;

/// The files that a connection has worked on, as it has attached them.
#[derive(Default)]
struct Schemas(Mutex<BTreeSet<String>>);

/// Makes sure that the close of a connection is noticed: what it leaves in this file is then settled.
pub fn expect(session: &Session, schema: &str) {
    let schemas = session.part::<Schemas>();
    let mut schemas = schemas.0.lock();
    if schemas.is_empty() {
        session.on_close(close);
    }
    if !schemas.contains(schema) {
        schemas.insert(schema.to_owned());
    }
}

fn close(session: &Session, token: &str) {
    owner::closing(token);
    let schemas = session.part::<Schemas>();
    let schemas = schemas.0.lock();
    for schema in schemas.iter() {
        recovery::recover_at_close(session, schema);
    }
}
