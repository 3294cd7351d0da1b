//! What a refused row hangs together with: the rows that were refused with it, those that it refers to or that refer to it,
//! and what is held of them. Where any of that has changed, the refusal may be out of date, and the row is sent once more.
//! So it is never sent again without a reason, and never left out for good because of another row.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::capture::tracked::registration;
use crate::capture::{Key, PendingRows};
use crate::providers::wire::ChangeKind;
use crate::store::{Database, Result, Value, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::held::foreign::{Link, declared};

/// A row by the number of its table, and its key.
type Row<'a> = (i64, &'a Value);

/// Keeps what a row that is left out hangs together with.
///
/// # Errors
/// SQLite's.
pub fn note(database: &Database, provider: &str, (table, key): Row<'_>) -> Result<()> {
    let kind = database.query_value(
        "SELECT kind FROM main._syncRejected WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow()],
    )?;
    let kind = kind.as_str().unwrap_or_default();
    let met = Surroundings::of(database, provider, table)?.met(key, kind)?;
    database.execute(
        "UPDATE main._syncRejected SET met = ?4, mates = (SELECT count(*) FROM main._syncRejected AS mate \
           WHERE mate.provider = ?1 AND mate.refusedIn = _syncRejected.refusedIn) \
         WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow(), met.into()],
    )?;
    Ok(())
}

/// A row that can't even be sent has nothing to do with those that were refused any more.
///
/// # Errors
/// SQLite's.
pub fn part(database: &Database, provider: &str, (table, key): Row<'_>) -> Result<()> {
    database.execute(
        "UPDATE main._syncRejected SET refusedIn = NULL WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.borrow()],
    )?;
    Ok(())
}

/// A row that is left out.
struct LeftOut {
    place: usize,
    key: Key,
    kind: String,
    upto: i64,
    refused_in: i64,
    met: i64,
    /// One of those that were refused with it is not refused any more.
    alone: bool,
}

/// The rows for which something has changed since they were left out.
///
/// # Errors
/// SQLite's.
pub fn look(
    database: &Database,
    provider: &str,
    bindings: &[Binding],
    pending: &[PendingRows],
) -> Result<Vec<(i64, Key)>> {
    let mut left_out = Vec::new();
    for (place, binding) in bindings.iter().enumerate() {
        left_out.extend(database.query_all(
            "SELECT pk, kind, uptoSeq, refusedIn, met, mates > (SELECT count(*) FROM main._syncRejected AS mate \
               WHERE mate.provider = ?1 AND mate.refusedIn = rejected.refusedIn) \
             FROM main._syncRejected AS rejected \
             WHERE provider = ?1 AND tbl = ?2 AND uptoSeq > 0 AND refusedIn IS NOT NULL",
            &[provider.into(), binding.table.id.into()],
            |row| {
                Ok(LeftOut {
                    place,
                    key: Key(row.column(0).to_owned()),
                    kind: row.text(1),
                    upto: row.integer(2),
                    refused_in: row.integer(3),
                    met: row.integer(4),
                    alone: row.integer(5) != 0,
                })
            },
        )?);
    }
    // Rows that are good only together: one that was written again takes the others along.
    let mut edited = HashSet::new();
    for row in &left_out {
        let last = pending[row.place].get(&row.key)?.map(|row| row.last_seq);
        if last.is_none_or(|last| last > row.upto) {
            edited.insert(row.refused_in);
        }
    }
    let mut changed = Vec::new();
    for (place, binding) in bindings.iter().enumerate() {
        let mut rows = left_out.iter().filter(|row| row.place == place).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let surroundings = Surroundings::of(database, provider, binding.table.id)?;
        for row in rows {
            let has_changed = row.alone
                || edited.contains(&row.refused_in)
                || surroundings.met(&row.key.0, &row.kind)? != row.met;
            if has_changed {
                changed.push((binding.table.id, row.key.clone()));
            }
        }
    }
    Ok(changed)
}

/// The tables around one.
struct Surroundings<'a> {
    database: &'a Database,
    table: String,
    key: String,
    /// Foreign keys of one column, of the table and to it.
    links: Vec<Link>,
    /// What is held of it, and of the tables that it hangs together with.
    held: u64,
}

impl<'a> Surroundings<'a> {
    fn of(database: &'a Database, provider: &str, table: i64) -> Result<Self> {
        let name = database.query_value(
            "SELECT name FROM main._syncTable WHERE id = ?1",
            &[table.into()],
        )?;
        let name = name.as_str().unwrap_or_default().to_owned();
        let key = database.query_value(
            "SELECT name FROM pragma_table_info(?1, ?2) WHERE pk = 1",
            &[(&name).into(), database.schema().into()],
        )?;
        let is_it = |other: &str| other.eq_ignore_ascii_case(&name);
        let mut links = declared(database)?;
        links.retain(|link| link.from.len() == 1 && (is_it(&link.child) || is_it(&link.parent)));
        let mut hash = DefaultHasher::new();
        let near = links.iter().flat_map(|link| [&link.child, &link.parent]);
        let near: HashSet<String> = near
            .chain([&name])
            .map(|near| near.to_lowercase())
            .collect();
        let mut tables = Vec::new();
        for near in near {
            tables.extend(registration(database, &near)?.map(|known| known.id));
        }
        tables.sort_unstable();
        for table in tables {
            let held = database.query_all(
                "SELECT pk, content FROM main._syncHeld WHERE provider = ?1 AND tbl = ?2 ORDER BY id",
                &[provider.into(), table.into()],
                |row| Ok((Key(row.column(0).to_owned()), row.optional_text(1))),
            )?;
            (table, held).hash(&mut hash);
        }
        Ok(Self {
            database,
            key: key.as_str().unwrap_or("rowid").to_owned(),
            table: name,
            links,
            held: hash.finish(),
        })
    }

    /// A number that stands for what a row hangs together with.
    fn met(&self, key: &Value, kind: &str) -> Result<i64> {
        let mut hash = DefaultHasher::new();
        self.held.hash(&mut hash);
        for link in &self.links {
            match kind == ChangeKind::Deleted.as_str() {
                true => self.children(link, key)?.hash(&mut hash),
                false => self.parent(link, key)?.hash(&mut hash),
            }
        }
        Ok(hash.finish().cast_signed())
    }

    /// How many rows refer to one that was deleted by its key.
    fn children(&self, link: &Link, key: &Value) -> Result<Option<i64>> {
        let is_to_it = link.parent.eq_ignore_ascii_case(&self.table);
        if !is_to_it || !link.to[0].eq_ignore_ascii_case(&self.key) {
            return Ok(None);
        }
        let count = self.read(
            &format!(
                "SELECT count(*) FROM {} WHERE {} = ?1",
                self.database.qualified(&link.child),
                quote_name(&link.from[0])
            ),
            key,
        )?;
        Ok(count.and_then(|row| row.first().and_then(|count| count.0.as_i64())))
    }

    /// The row that one refers to.
    fn parent(&self, link: &Link, key: &Value) -> Result<Option<Vec<Key>>> {
        if !link.child.eq_ignore_ascii_case(&self.table) {
            return Ok(None);
        }
        self.read(
            &format!(
                "SELECT * FROM {} WHERE {} = (SELECT {} FROM {} WHERE {} = ?1)",
                self.database.qualified(&link.parent),
                quote_name(&link.to[0]),
                quote_name(&link.from[0]),
                self.database.qualified(&self.table),
                quote_name(&self.key)
            ),
            key,
        )
    }

    fn read(&self, sql: &str, key: &Value) -> Result<Option<Vec<Key>>> {
        let mut row = self.database.connection().prepare(sql)?;
        row.bind(1, key.borrow())?;
        Ok(match row.step()? {
            true => Some(row.row().into_iter().map(Key).collect()),
            false => None,
        })
    }
}
