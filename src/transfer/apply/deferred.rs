//! Rows that must wait for others of the same answer: a UNIQUE value moves from one row to another.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::capture::Key;
use crate::ground::SyncError;
use crate::providers::sink::Announced;
use crate::providers::wire::Slot;
use crate::store::{Database, Result, Value, ValueRef};

use crate::store::compare;
use crate::transfer::apply::table::Decision;
use crate::transfer::binding::Binding;

/// Most rows that wait; an answer in which more clash is wrong in another way.
const MOST: usize = 10_000;

/// A row that did not fit yet.
pub struct DeferredRow {
    pub place: usize,
    pub announced: Announced,
    pub key: Value,
    pub row: Vec<Slot<'static>>,
    /// What was decided about it, when there was something to decide.
    pub decision: Option<Decision>,
    /// What the table said; the answer when it never fits.
    pub error: SyncError,
}

impl DeferredRow {
    /// The columns it is to get.
    pub fn wanted(&self) -> &[Slot<'static>] {
        match &self.decision {
            Some(decision) => &decision.row,
            None => &self.row,
        }
    }

    fn value(&self, place: usize) -> ValueRef<'_> {
        let slot = self.wanted().get(place);
        slot.map_or(ValueRef::Null, Slot::value)
    }
}

/// The orders in which waiting rows are tried. Values that shift along, such as positions in a list, all
/// fit one after the other when they are tried from the right end. So rows are sorted by the columns of
/// a unique index, up and then down, and by those of the next one.
pub struct Orders {
    /// For each table, its unique indexes.
    tables: Vec<Vec<UniqueIndex>>,
}

/// One of a table's unique indexes.
#[derive(Default)]
struct UniqueIndex {
    name: String,
    /// Places of its columns that are synced.
    places: Vec<usize>,
    /// It is on an expression, which may be about any column.
    computed: bool,
}

impl Orders {
    /// # Errors
    /// SQLite's.
    pub fn of<'b>(
        database: &Database,
        bindings: impl Iterator<Item = &'b Binding>,
    ) -> Result<Self> {
        let tables = bindings.map(|binding| unique_indexes(database, binding));
        Ok(Self {
            tables: tables.collect::<Result<_>>()?,
        })
    }

    /// How many orders there are.
    pub fn passes(&self) -> usize {
        let most = self.tables.iter().map(Vec::len).max();
        most.unwrap_or(0).max(1) * 2
    }

    /// Sorts rows for a pass, from 0.
    pub fn arrange(&self, rows: &mut [DeferredRow], pass: usize) {
        let columns = |place: usize| {
            let indexes = self.tables.get(place)?;
            Some(&indexes.get(pass / 2 % indexes.len().max(1))?.places)
        };
        rows.sort_by(|one, other| {
            if one.place != other.place {
                return one.place.cmp(&other.place);
            }
            let places = columns(one.place).into_iter().flatten();
            let order = places
                .map(|place| compare(one.value(*place), other.value(*place)))
                .find(|order| *order != Ordering::Equal)
                .unwrap_or(Ordering::Equal);
            match pass % 2 {
                0 => order.reverse(),
                _ => order,
            }
        });
    }
}

impl Orders {
    /// Whether a column may have to be let go of, so that another row gets its value.
    pub fn is_unique(&self, table: usize, place: usize) -> bool {
        let indexes = self.tables.get(table).map_or(&[][..], Vec::as_slice);
        indexes.is_empty()
            || indexes
                .iter()
                .any(|index| index.computed || index.places.contains(&place))
    }
}

fn unique_indexes(database: &Database, binding: &Binding) -> Result<Vec<UniqueIndex>> {
    let named = database.query_all(
        "SELECT i.name, c.name FROM pragma_index_list(?1, ?2) AS i, pragma_index_info(i.name, ?2) AS c \
         WHERE i.\"unique\" = 1 AND i.origin <> 'pk' ORDER BY i.seq, c.seqno",
        &[
            binding.table.shape.name.as_str().into(),
            database.schema().into(),
        ],
        |row| Ok((row.text(0), row.optional_text(1))),
    )?;
    let mut indexes: Vec<UniqueIndex> = Vec::new();
    for (name, column) in named {
        if indexes.last().is_none_or(|last| last.name != name) {
            indexes.push(UniqueIndex {
                name,
                ..UniqueIndex::default()
            });
        }
        let Some(index) = indexes.last_mut() else {
            continue;
        };
        let Some(column) = column else {
            index.computed = true;
            continue;
        };
        let mut columns = binding.wire.columns.iter();
        let place = columns.position(|known| known.name.eq_ignore_ascii_case(&column));
        index.places.extend(place);
    }
    Ok(indexes)
}

/// The rows that wait, in the order of the answer.
#[derive(Default)]
pub struct Deferred {
    rows: Vec<DeferredRow>,
    /// Which rows wait, for a quick look.
    keys: HashSet<(usize, Key)>,
}

impl Deferred {
    /// Puts a row off.
    ///
    /// # Errors
    /// The row's own error when too many wait.
    pub fn put_off(&mut self, row: DeferredRow) -> std::result::Result<(), SyncError> {
        if self.rows.len() >= MOST {
            return Err(row.error);
        }
        self.keys.insert((row.place, Key(row.key.clone())));
        self.rows.push(row);
        Ok(())
    }

    /// A newer word on a row makes what waits of it void.
    pub fn forget(&mut self, place: usize, key: &Value) {
        if self.rows.is_empty() {
            return;
        }
        let key = Key(key.clone());
        if !self.keys.remove(&(place, key.clone())) {
            return;
        }
        self.rows
            .retain(|row| row.place != place || Key(row.key.clone()) != key);
    }

    /// Takes all rows that wait.
    pub fn take(&mut self) -> Vec<DeferredRow> {
        self.keys.clear();
        std::mem::take(&mut self.rows)
    }
}
