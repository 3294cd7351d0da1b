//! Settling: what the server said of a push, written down in one transaction.

use std::collections::HashMap;

use crate::capture::log;
use crate::providers::PushAnswer;
use crate::store::{Database, Result, Value, ValueRef};

use crate::transfer::binding::Binding;
use crate::transfer::counts::Counts;
use crate::transfer::send::freeze::{Frozen, reject};
use crate::transfer::send::outbox;

/// Takes out of the log what the server has; keeps what it did not take, with the reason.
///
/// Linear in the number of rows: the log is acknowledged by range. Call inside a transaction.
///
/// # Errors
/// SQLite's.
pub fn settle(
    database: &Database,
    provider: &str,
    bindings: &[Binding],
    frozen: &Frozen,
    answer: &PushAnswer,
) -> Result<Vec<Counts>> {
    forget_old_rejections(database, provider, frozen.push)?;
    let mut all = Vec::new();
    for (place, binding) in bindings.iter().enumerate() {
        let sent = database.query_value(
            "SELECT count(*) FROM main._syncOutbox WHERE pushId = ?1 AND tbl = ?2",
            &[frozen.push.into(), binding.table.id.into()],
        )?;
        let rejected = match answer.rejected.get(place) {
            Some(ids) => keep_rejected(database, provider, binding, frozen.push, ids)?,
            None => 0,
        };
        let pushed = sent.as_i64().unwrap_or(0) - rejected;
        all.push(Counts {
            pushed,
            rejected,
            ..Counts::default()
        });
    }
    match &frozen.entries {
        Some(entries) => log::acknowledge_entries(database, provider, entries)?,
        None => {
            for binding in bindings {
                log::acknowledge(database, provider, binding.table.id, frozen.upto)?;
            }
        }
    }
    outbox::close(database, provider, frozen.push, "acknowledged")?;
    Ok(all)
}

/// Rows that are sent again have a new fate.
fn forget_old_rejections(database: &Database, provider: &str, push: i64) -> Result<()> {
    let any = database.query_value(
        "SELECT 1 FROM main._syncRejected WHERE provider = ?1 LIMIT 1",
        &[provider.into()],
    )?;
    if any == Value::Null {
        return Ok(());
    }
    database.execute(
        "DELETE FROM main._syncRejected WHERE provider = ?1 \
         AND (tbl, pk) IN (SELECT tbl, pk FROM main._syncOutbox WHERE pushId = ?2)",
        &[provider.into(), push.into()],
    )?;
    Ok(())
}

/// Ids the push did not hold are passed over.
fn keep_rejected(
    database: &Database,
    provider: &str,
    binding: &Binding,
    push: i64,
    rejected: &HashMap<String, Option<String>>,
) -> Result<i64> {
    if rejected.is_empty() {
        return Ok(0);
    }
    let frozen = database.query_all(
        "SELECT pk, kind, content, id FROM main._syncOutbox WHERE pushId = ?1 AND tbl = ?2",
        &[push.into(), binding.table.id.into()],
        |row| {
            let why = match row.column(0) {
                ValueRef::Text(id) => rejected.get(id),
                ValueRef::Integer(id) => rejected.get(&id.to_string()),
                _ => None,
            };
            Ok(why.map(|why| {
                (
                    row.column(0).to_owned(),
                    row.text(1),
                    row.text(2),
                    row.integer(3),
                    why.clone(),
                )
            }))
        },
    )?;
    let mut count = 0;
    for (key, kind, content, id, why) in frozen.into_iter().flatten() {
        let reason = why.as_deref().unwrap_or("rejected by the backend");
        reject(
            database,
            provider,
            binding.table.id,
            &key,
            &kind,
            reason,
            Some(&content),
        )?;
        // What was not taken is not on its way either.
        database.execute("DELETE FROM main._syncOutbox WHERE id = ?1", &[id.into()])?;
        count += 1;
    }
    Ok(count)
}
