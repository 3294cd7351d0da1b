//! `_syncHeld`: keeping rows, forgetting them, reading them back.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::capture::Key;
use crate::coordination::now;
use crate::providers::fit::sanitise;
use crate::providers::sink::Announced;
use crate::providers::wire::{Entity, Slot};
use crate::store::{Database, Result, ValueRef, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::conflict::record::remote_json;

use super::reason::{Class, RESOLVER, Reason};
use super::refusals::Refusals;

/// What is held of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It was created or updated there: the columns that came.
    Row(Announced, Vec<Slot<'static>>),
    /// It was deleted there.
    Delete,
}

/// A held row.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRow {
    pub id: i64,
    /// Index into the bindings.
    pub place: usize,
    pub key: Key,
    pub what: What,
    /// It was here when it was first held: what waits of it is an edit of that, and not a row made here.
    pub was_here: bool,
    /// The resolver is yet to say what stays of the row here.
    pub undecided: bool,
}

/// What is held of a row, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InShort {
    pub is_delete: bool,
    /// See [`HeldRow::undecided`].
    pub undecided: bool,
}

/// Holds the rows that an answer can't have.
pub struct Holder<'a> {
    database: &'a Database,
    pub provider: &'a str,
    bindings: &'a [Binding],
    pub refusals: &'a Refusals,
    /// Deletes are noted, since there are references that they may break.
    pub notes_deletes: bool,
    /// The rows that are held, each with whether it is [`HeldRow::undecided`].
    keys: HashMap<(usize, Key), bool>,
}

impl<'a> Holder<'a> {
    /// # Errors
    /// SQLite's.
    pub fn new(
        database: &'a Database,
        provider: &'a str,
        bindings: &'a [Binding],
        refusals: &'a Refusals,
    ) -> Result<Self> {
        let mut keys = HashMap::new();
        if any(database, provider)? {
            for (place, binding) in bindings.iter().enumerate() {
                let held = database.query_all(
                    "SELECT pk, reason = ?3 FROM main._syncHeld WHERE provider = ?1 AND tbl = ?2",
                    &[provider.into(), binding.table.id.into(), RESOLVER.into()],
                    |row| {
                        let key = Key(row.column(0).to_owned());
                        Ok(((place, key), row.integer(1) != 0))
                    },
                )?;
                keys.extend(held);
            }
        }
        Ok(Self {
            database,
            provider,
            bindings,
            refusals,
            notes_deletes: false,
            keys,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether something is held of a row.
    pub fn has(&self, place: usize, key: &Key) -> bool {
        !self.keys.is_empty() && self.keys.contains_key(&(place, key.clone()))
    }

    /// Keys of the rows of one table that are held.
    pub fn keys_of(&self, place: usize) -> Vec<Key> {
        let keys = self.keys.keys().filter(|(held, _)| *held == place);
        keys.map(|(_, key)| key.clone()).collect()
    }

    /// Keys of the held rows of one table that would meet a condition if they were in it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn meeting(
        &self,
        place: usize,
        condition: &str,
        values: &[ValueRef<'_>],
    ) -> Result<Vec<Key>> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let binding = &self.bindings[place];
        let columns = binding.wire.columns.iter().zip(&binding.columns);
        let paths: Vec<(String, String)> = columns
            .map(|(column, position)| {
                let name = quote_name(&binding.table.shape.columns[*position].name);
                (format!("$.\"{}\"", column.name), name)
            })
            .collect();
        let mut values = values.to_vec();
        let first = values.len() + 1;
        values.extend([self.provider.into(), ValueRef::from(binding.table.id)]);
        values.extend(paths.iter().map(|(path, _)| ValueRef::from(path)));
        let named = paths.iter().zip(first + 2..);
        let named: String = named
            .map(|((_, name), number)| {
                format!(", iif(json_valid(content), content ->> ?{number}, NULL) AS {name}")
            })
            .collect();
        let (key, table) = (binding.key_name(), first + 1);
        self.database.query_all(
            &format!(
                "SELECT {key} FROM (SELECT pk AS {key}{named} FROM main._syncHeld \
                 WHERE provider = ?{first} AND tbl = ?{table} AND op = 'row') WHERE ({condition})"
            ),
            &values,
            |row| Ok(Key(row.column(0).to_owned())),
        )
    }

    /// The columns of a row that count as they are held, not as they are here; none when no row is held, or it is not
    /// decided what stays.
    ///
    /// # Errors
    /// SQLite's.
    pub fn counts(&self, place: usize, key: &Key) -> Result<Option<Vec<Slot<'static>>>> {
        let is_decided = |undecided: &bool| !undecided;
        match !self.keys.is_empty() && self.keys.get(&(place, key.clone())).is_some_and(is_decided)
        {
            true => content(self.database, self.provider, &self.bindings[place], key),
            false => Ok(None),
        }
    }

    /// The columns that a row leaves out, as they are held.
    ///
    /// # Errors
    /// SQLite's.
    pub fn completed(
        &self,
        place: usize,
        key: &Key,
        row: &[Slot<'_>],
    ) -> Result<Vec<Slot<'static>>> {
        let binding = &self.bindings[place];
        let mut row: Vec<Slot<'static>> =
            row.iter().map(|slot| slot.clone().into_owned()).collect();
        if let Some(held) = content(self.database, self.provider, binding, key)? {
            for (slot, held) in row.iter_mut().zip(held) {
                if slot.is_missing() {
                    *slot = held;
                }
            }
        }
        Ok(row)
    }

    /// Keeps a row that came. `base`: the row here.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep_row(
        &mut self,
        place: usize,
        key: &Key,
        announced: Announced,
        row: &[Slot<'_>],
        base: Option<&str>,
        reason: &Reason,
    ) -> Result<()> {
        let content = remote_json(&self.bindings[place].wire, key.0.borrow(), row);
        let announced = match announced {
            Announced::Created => "created",
            Announced::Updated => "updated",
        };
        let row = ("row", Some(announced), Some(content.as_str()), base);
        self.keep(place, key, row, reason)
    }

    /// Keeps a delete.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keep_delete(
        &mut self,
        place: usize,
        key: &Key,
        base: Option<&str>,
        reason: &Reason,
    ) -> Result<()> {
        self.keep(place, key, ("delete", None, None, base), reason)
    }

    fn keep(
        &mut self,
        place: usize,
        key: &Key,
        (op, announced, content, base): (&str, Option<&str>, Option<&str>, Option<&str>),
        reason: &Reason,
    ) -> Result<()> {
        let binding = &self.bindings[place];
        self.database.execute(
            "INSERT INTO main._syncHeld (provider, entity, tbl, pk, op, announced, content, base, reason, \
             \"constraint\", clashesWith, since, tries) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1) \
             ON CONFLICT (provider, tbl, pk) DO UPDATE SET op = excluded.op, content = excluded.content, \
             announced = CASE announced WHEN 'created' THEN iif(excluded.op = 'row', 'created', NULL) \
             ELSE excluded.announced END, \
             reason = excluded.reason, \"constraint\" = excluded.\"constraint\", \
             clashesWith = excluded.clashesWith, tries = tries + 1, sent = NULL",
            &[
                self.provider.into(),
                (&binding.entity).into(),
                binding.table.id.into(),
                key.0.borrow(),
                op.into(),
                announced.into(),
                content.into(),
                base.into(),
                reason.class.as_str().into(),
                (&reason.constraint).into(),
                reason.clash(),
                now().into(),
            ],
        )?;
        let undecided = reason.class == Class::Resolver;
        self.keys.insert((place, key.clone()), undecided);
        Ok(())
    }

    /// Nothing is held of a row any more. True when it was [`HeldRow::undecided`].
    ///
    /// # Errors
    /// SQLite's.
    pub fn forget(&mut self, place: usize, key: &Key) -> Result<bool> {
        if self.keys.is_empty() {
            return Ok(false);
        }
        let Some(undecided) = self.keys.remove(&(place, key.clone())) else {
            return Ok(false);
        };
        let table = self.bindings[place].table.id;
        forget(self.database, self.provider, table, key)?;
        Ok(undecided)
    }

    /// A held row was tried again, in vain.
    ///
    /// # Errors
    /// SQLite's.
    pub fn tried(&self, id: i64, reason: &Reason) -> Result<()> {
        self.database.execute(
            "UPDATE main._syncHeld SET tries = tries + 1, reason = ?2, \"constraint\" = ?3, clashesWith = ?4 \
             WHERE id = ?1",
            &[
                id.into(),
                reason.class.as_str().into(),
                (&reason.constraint).into(),
                reason.clash(),
            ],
        )?;
        Ok(())
    }

    /// A held row was tried again in vain, since a reference of others was broken then.
    ///
    /// # Errors
    /// SQLite's.
    pub fn breaks_others(&self, id: i64) -> Result<()> {
        let words = "what comes with it, or stays without it, refers to a row that is missing";
        self.database.execute(
            "UPDATE main._syncHeld SET tries = tries + 1, clashesWith = NULL, reason = ?2,              \"constraint\" = iif(reason = ?2, \"constraint\", ?3) WHERE id = ?1",
            &[id.into(), Class::ForeignKey.as_str().into(), words.into()],
        )?;
        Ok(())
    }

    /// All held rows of the bound tables, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn all(&self) -> Result<Vec<HeldRow>> {
        let mut all = Vec::new();
        for (place, binding) in self.bindings.iter().enumerate() {
            let rows = self.database.query_all(
                "SELECT id, pk, op, announced, content, base IS NOT NULL, reason = ?3 FROM main._syncHeld \
                 WHERE provider = ?1 AND tbl = ?2 ORDER BY id",
                &[self.provider.into(), binding.table.id.into(), RESOLVER.into()],
                |row| {
                    let announced = match row.optional_text(3).as_deref() {
                        Some("created") => Announced::Created,
                        _ => Announced::Updated,
                    };
                    let what = match row.text(2).as_str() {
                        "delete" => What::Delete,
                        _ => What::Row(announced, slots(&binding.wire, &row.text(4))),
                    };
                    Ok(HeldRow {
                        id: row.integer(0),
                        place,
                        key: Key(row.column(1).to_owned()),
                        what,
                        was_here: row.integer(5) != 0,
                        undecided: row.integer(6) != 0,
                    })
                },
            )?;
            all.extend(rows);
        }
        Ok(all)
    }
}

/// Whether anything of a provider is held.
///
/// # Errors
/// SQLite's.
pub fn any(database: &Database, provider: &str) -> Result<bool> {
    let any = database.query_value(
        "SELECT 1 FROM main._syncHeld WHERE provider = ?1 LIMIT 1",
        &[provider.into()],
    )?;
    Ok(any.as_i64().is_some())
}

/// The entities of which rows are held, each with its table's number, other than those of `bindings`.
///
/// # Errors
/// SQLite's.
pub fn elsewhere(
    database: &Database,
    provider: &str,
    bindings: &[Binding],
) -> Result<Vec<(String, i64)>> {
    let mut entities = database.query_all(
        "SELECT entity, tbl FROM main._syncHeld WHERE provider = ?1 GROUP BY tbl ORDER BY min(id)",
        &[provider.into()],
        |row| Ok((row.text(0), row.integer(1))),
    )?;
    entities.retain(|(_, table)| bindings.iter().all(|binding| binding.table.id != *table));
    Ok(entities)
}

/// The rows of a table that are held.
///
/// # Errors
/// SQLite's.
pub fn keys(database: &Database, table: i64) -> Result<HashMap<Key, InShort>> {
    let keys = database.query_all(
        "SELECT pk, op = 'delete', reason = ?2 FROM main._syncHeld WHERE tbl = ?1",
        &[table.into(), RESOLVER.into()],
        |row| {
            let held = InShort {
                is_delete: row.integer(1) != 0,
                undecided: row.integer(2) != 0,
            };
            Ok((Key(row.column(0).to_owned()), held))
        },
    )?;
    Ok(keys.into_iter().collect())
}

/// The columns that are held of a row; none when no row is.
///
/// # Errors
/// SQLite's.
pub fn content(
    database: &Database,
    provider: &str,
    binding: &Binding,
    key: &Key,
) -> Result<Option<Vec<Slot<'static>>>> {
    let content = database.query_value(
        "SELECT content FROM main._syncHeld WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), binding.table.id.into(), key.0.borrow()],
    )?;
    Ok(content.as_str().map(|text| slots(&binding.wire, text)))
}

/// A row is sent with what is held of it: if the server takes it, that is what is held from then on.
///
/// # Errors
/// SQLite's.
pub fn send(
    database: &Database,
    provider: &str,
    binding: &Binding,
    key: &Key,
    row: &[Slot<'_>],
) -> Result<()> {
    let content = remote_json(&binding.wire, key.0.borrow(), row);
    database.execute(
        "UPDATE main._syncHeld SET sent = ?4 WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[
            provider.into(),
            binding.table.id.into(),
            key.0.borrow(),
            (&content).into(),
        ],
    )?;
    Ok(())
}

/// The server has taken one row of a push.
///
/// # Errors
/// SQLite's.
pub fn taken(database: &Database, provider: &str, table: i64, key: &Key) -> Result<()> {
    database.execute(
        "UPDATE main._syncHeld SET content = sent, sent = NULL \
         WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3 AND sent IS NOT NULL",
        &[provider.into(), table.into(), key.0.borrow()],
    )?;
    Ok(())
}

/// The server has taken all rows that are left of a push.
///
/// # Errors
/// SQLite's.
pub fn all_taken(database: &Database, provider: &str, push: i64) -> Result<()> {
    database.execute(
        "UPDATE main._syncHeld SET content = sent, sent = NULL \
         WHERE provider = ?1 AND sent IS NOT NULL AND (tbl, pk) IN \
           (SELECT tbl, pk FROM main._syncOutbox WHERE pushId = ?2 AND kind = 'updated')",
        &[provider.into(), push.into()],
    )?;
    Ok(())
}

/// Forgets what is held of a row.
///
/// # Errors
/// SQLite's.
pub fn forget(database: &Database, provider: &str, table: i64, key: &Key) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncHeld WHERE provider = ?1 AND tbl = ?2 AND pk IS ?3",
        &[provider.into(), table.into(), key.0.borrow()],
    )?;
    Ok(())
}

/// Forgets what is held of a row for any provider.
///
/// # Errors
/// SQLite's.
pub fn forget_anywhere(database: &Database, table: i64, key: &Key) -> Result<()> {
    database.execute(
        "DELETE FROM main._syncHeld WHERE tbl = ?1 AND pk IS ?2",
        &[table.into(), key.0.borrow()],
    )?;
    Ok(())
}

/// Forgets all that is held of a table.
///
/// # Errors
/// SQLite's.
pub fn forget_table(database: &Database, table: i64) -> Result<()> {
    database.execute("DELETE FROM main._syncHeld WHERE tbl = ?1", &[table.into()])?;
    Ok(())
}

/// The columns of a row from its JSON.
fn slots(entity: &Entity, content: &str) -> Vec<Slot<'static>> {
    let members: HashMap<String, Box<RawValue>> = serde_json::from_str(content).unwrap_or_default();
    let columns = entity.columns.iter();
    columns
        .map(|column| match members.get(&column.name) {
            Some(raw) => sanitise(column, raw.get()),
            None => Slot::Missing,
        })
        .collect()
}
