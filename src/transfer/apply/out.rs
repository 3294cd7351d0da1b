//! Rows that let go of their UNIQUE values for a while, so that each of them can become what it is to be: two that swap
//! their values, for instance. Each has a turn, in which it holds its values and is referred to as if nothing had happened,
//! while the others hold values that nobody has. Triggers are off but for what is done in the turn, so that nothing of the
//! application sees those.

use std::collections::{HashMap, HashSet};

use crate::capture::Key;
use crate::providers::wire::{Slot, UuidForm, WireType};
use crate::store::{ChecksOff, Database, Error, Result, TriggersOff, Value, ValueRef, quote_name};
use crate::transfer::binding::Binding;

use super::deferred::Waiting;
use super::loose::Loose;
use super::references::References;

/// Nothing of the application notices what is written while this lives.
pub struct Quiet {
    _triggers: Option<TriggersOff>,
    _checks: Option<ChecksOff>,
}

impl Quiet {
    /// # Errors
    /// SQLite's.
    pub fn begin(database: &Database) -> Result<Self> {
        let connection = database.connection();
        Ok(Self {
            _triggers: TriggersOff::begin(connection),
            _checks: ChecksOff::begin(connection)?,
        })
    }
}

/// A row that lets go of its values.
struct Member {
    place: usize,
    key: Key,
    /// The columns whose values others may wait for, by their places among those that travel.
    columns: Vec<usize>,
    /// For each column that travels, whether the answer says what it is to be.
    brought: Vec<bool>,
    /// What it holds there, while it is out.
    values: Option<Vec<Value>>,
}

impl Member {
    /// Whether a slot of the row is among what it lets go of.
    fn lets_go_of(&self, places: &[usize]) -> bool {
        places.iter().any(|place| self.columns.contains(place))
    }

    /// Whether the answer says what a column is to be, given by its quoted name.
    fn brings(&self, binding: &Binding, column: &str) -> bool {
        let columns = binding.wire.columns.iter().zip(&self.brought);
        let mut brought = columns.filter(|(_, brought)| **brought);
        brought.any(|(known, _)| quote_name(&known.name) == column)
    }

    fn names(&self, binding: &Binding) -> Vec<String> {
        let columns = self.columns.iter();
        let name = |place: &usize| {
            let position = binding.columns[*place];
            quote_name(&binding.table.shape.columns[position].name)
        };
        columns.map(name).collect()
    }

    fn read(&self, database: &Database, binding: &Binding) -> Result<Option<Vec<Value>>> {
        let key = binding.key_name();
        let mut read = database.connection().prepare(&format!(
            "SELECT {} FROM {} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY",
            self.names(binding).join(", "),
            binding.qualified
        ))?;
        read.bind(1, self.key.0.borrow())?;
        Ok(read.step()?.then(|| read.row()))
    }

    /// Writes each column as the SQL says that goes with it; `values` are the parameters after the first.
    fn write(
        &self,
        database: &Database,
        binding: &Binding,
        sql: impl Iterator<Item = String>,
        values: &[Value],
    ) -> Result<()> {
        let key = binding.key_name();
        let set = self.names(binding).into_iter().zip(sql);
        let set: Vec<String> = set.map(|(name, sql)| format!("{name} = {sql}")).collect();
        let mut update = database.connection().prepare(&format!(
            "UPDATE OR ABORT {} SET {} WHERE {key} = ?1 AND {key} = ?1 COLLATE BINARY",
            binding.qualified,
            set.join(", ")
        ))?;
        let mut all: Vec<ValueRef<'_>> = vec![self.key.0.borrow()];
        all.extend(values.iter().map(Value::borrow));
        update.run(&all)?;
        Ok(())
    }

    /// Writes values that nobody has; false when the table refuses them.
    fn empty(&self, database: &Database, binding: &Binding) -> Result<bool> {
        let columns = self.columns.iter().map(|place| {
            let column = &binding.table.shape.columns[binding.columns[*place]];
            let sql = match (column.not_null, binding.wire.columns[*place].kind) {
                (false, _) => "NULL",
                (true, WireType::Number | WireType::Boolean) => "-abs(random() >> 1)",
                (true, WireType::Uuid(kind)) if kind.here == UuidForm::Text => {
                    "hex(randomblob(16))"
                }
                (true, WireType::Base64 | WireType::Uuid(_)) => "randomblob(16)",
                (true, WireType::Json) => "json_quote(hex(randomblob(16)))",
                (true, WireType::String | WireType::Any) => "hex(randomblob(16))",
            };
            sql.to_owned()
        });
        match self.write(database, binding, columns, &[]) {
            Err(error) if error.is_constraint() => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    fn fill(&self, database: &Database, binding: &Binding, values: &[Value]) -> Result<()> {
        let numbered = (2..values.len() + 2).map(|number| format!("?{number}"));
        self.write(database, binding, numbered, values)
    }
}

/// A row that can't have its values back, since another has them now.
pub struct Left {
    pub place: usize,
    pub key: Key,
    /// Its values.
    pub row: Vec<Slot<'static>>,
    pub error: Error,
}

/// Such rows.
#[derive(Default)]
pub struct Out {
    members: Vec<Member>,
    /// References to such rows, by the number of the one in whose turn they are there; none: they are not to follow.
    away: ByTurn,
    /// Those of them that the row whose turn it is has, and that are there for now.
    shown: Vec<Loose>,
    /// Values that rows are to have: by table and column.
    wanted: HashSet<(usize, usize, Key)>,
}

impl Out {
    /// Whether all rows hold their values.
    pub fn is_empty(&self) -> bool {
        self.away.values().all(Vec::is_empty)
            && self.members.iter().all(|member| member.values.is_none())
    }

    /// A row is one of those that wait for each other; its number. `unique`: which of its columns others may wait for.
    pub fn join(&mut self, row: &Waiting, unique: &[bool]) -> usize {
        let (place, key) = (row.place, &row.key);
        let slots = row.word.slots();
        let wanted = slots.iter().zip(unique).enumerate();
        let wanted = wanted.filter(|(_, (slot, is_unique))| **is_unique && !slot.is_missing());
        let mut columns = Vec::new();
        for (column, (slot, _)) in wanted {
            columns.push(column);
            let value = Key(slot.value().to_owned());
            self.wanted.insert((place, column, value));
        }
        let mut known = self.members.iter();
        let known = known.position(|member| member.place == place && member.key == *key);
        known.unwrap_or_else(|| {
            self.members.push(Member {
                place,
                key: key.clone(),
                columns,
                brought: slots.iter().map(|slot| !slot.is_missing()).collect(),
                values: None,
            });
            self.members.len() - 1
        })
    }

    /// All let go of their values.
    ///
    /// # Errors
    /// SQLite's.
    pub fn take_all_out(
        &mut self,
        database: &Database,
        bindings: &[Binding],
        references: &References,
    ) -> Result<()> {
        (0..self.members.len())
            .try_for_each(|number| self.take_out(database, bindings, references, number))
    }

    /// A row lets go of its values, and what refers to them lets go of it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn take_out(
        &mut self,
        database: &Database,
        bindings: &[Binding],
        references: &References,
        number: usize,
    ) -> Result<()> {
        let member = &self.members[number];
        let binding = &bindings[member.place];
        for shown in self.shown.drain(..) {
            let brought = |column: &str| member.brings(binding, column);
            shown.hide(database, binding, &member.key, brought)?;
        }
        if member.values.is_some() || member.columns.is_empty() {
            return Ok(());
        }
        let Some(values) = member.read(database, binding)? else {
            return Ok(());
        };
        for reference in references.to(member.place) {
            if !member.lets_go_of(&reference.to) {
                continue;
            }
            let named = references.let_named_go(database, bindings, reference, &member.key)?;
            let rest = reference
                .referring(database, bindings)
                .let_go(database, &member.key)?;
            // What is not to become what the row becomes stays, as long as another row has the value.
            let follows = reference.link.on_update == "CASCADE"
                || !self.is_wanted(member, &reference.to, &values);
            for (of, loose) in [(None, named), (follows.then_some(number), rest)] {
                self.away.entry(of).or_default().extend(loose);
            }
        }
        if member.empty(database, binding)? {
            self.members[number].values = Some(values);
        }
        Ok(())
    }

    /// Whether another row is to have what one lets go of in some columns.
    fn is_wanted(&self, member: &Member, columns: &[usize], values: &[Value]) -> bool {
        let mut own = member.columns.iter().zip(values);
        own.all(|(column, value)| {
            let wanted = (member.place, *column, Key(value.clone()));
            !columns.contains(column) || self.wanted.contains(&wanted)
        })
    }

    /// A row's turn: it has its values back, what refers to it does so again, and it to others.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_in(
        &mut self,
        database: &Database,
        bindings: &[Binding],
        number: usize,
    ) -> Result<()> {
        let member = &mut self.members[number];
        let binding = &bindings[member.place];
        if let Some(values) = member.values.take() {
            match member.fill(database, binding, &values) {
                // A trigger has given one of its values to another row meanwhile.
                Err(error) if error.is_constraint() => {}
                outcome => outcome?,
            }
        }
        give_back(database, &mut self.away, Some(number))?;
        let key = &self.members[number].key;
        let own = self.away.values().flatten();
        for loose in own.filter(|loose| loose.table == binding.qualified) {
            if loose.show(database, binding, key)? {
                self.shown.push(loose.clone());
            }
        }
        Ok(())
    }

    /// All have had their turns. Those that can't have their values back stay out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn put_all_in(&mut self, database: &Database, bindings: &[Binding]) -> Result<Vec<Left>> {
        let mut left = Vec::new();
        for member in &mut self.members {
            let Some(values) = &member.values else {
                continue;
            };
            let binding = &bindings[member.place];
            let Err(error) = member.fill(database, binding, values) else {
                member.values = None;
                continue;
            };
            if !error.is_constraint() {
                return Err(error);
            }
            let mut row = vec![Slot::Missing; binding.columns.len()];
            for (column, value) in member.columns.iter().zip(values) {
                row[*column] = Slot::of(value.borrow());
            }
            left.push(Left {
                place: member.place,
                key: member.key.clone(),
                row,
                error,
            });
        }
        for (number, member) in self.members.iter().enumerate() {
            if member.values.is_none() {
                give_back(database, &mut self.away, Some(number))?;
            }
        }
        give_back(database, &mut self.away, None)?;
        Ok(left)
    }
}

type ByTurn = HashMap<Option<usize>, Vec<Loose>>;

fn give_back(database: &Database, away: &mut ByTurn, of: Option<usize>) -> Result<()> {
    let loose = away.remove(&of).unwrap_or_default();
    loose.iter().try_for_each(|loose| loose.give_back(database))
}

/// For each column that travels, whether it may have to be let go of, so that another row gets its value: those
/// in a unique index; all when there is one on an expression, or on a column that is computed.
///
/// # Errors
/// SQLite's.
pub fn unique_columns(database: &Database, binding: &Binding) -> Result<Vec<bool>> {
    let shape = &binding.table.shape;
    let named = database.query_all(
        "SELECT c.name FROM pragma_index_list(?1, ?2) AS i, pragma_index_info(i.name, ?2) AS c \
         WHERE i.\"unique\" = 1 AND i.origin <> 'pk'",
        &[shape.name.as_str().into(), database.schema().into()],
        |row| Ok(row.optional_text(0)),
    )?;
    let is_computed = |name: &Option<String>| {
        let column = name.as_deref().and_then(|name| shape.position(name));
        column.is_none_or(|position| shape.columns[position].generated)
    };
    let computed = named.iter().any(is_computed);
    let columns = binding.wire.columns.iter().map(|column| {
        let mut named = named.iter().flatten();
        computed || named.any(|name| name.eq_ignore_ascii_case(&column.name))
    });
    Ok(columns.collect())
}
