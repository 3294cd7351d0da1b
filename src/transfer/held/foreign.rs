//! References that are broken at the end of an answer, and the rows of the answer to blame.
//!
//! SQLite only counts broken references. Which they are shows when the tables are searched, and which of them the
//! answer has broken when they are searched again after it was undone: references that were broken before are not its
//! fault.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use crate::capture::Key;
use crate::store::{
    Connection, Database, Error, REFERRING, Result, Statement, Value, ValueRef,
    enforces_references, quote_name, shown,
};
use crate::transfer::binding::Binding;

use super::reason::Reason;
use super::refusals::Refusals;
use super::trial::{Target, Trial};

/// One foreign key of a table.
#[derive(Debug, Clone)]
pub struct Link {
    pub child: String,
    pub from: Vec<String>,
    pub parent: String,
    pub to: Vec<String>,
    /// What SQLite does with the child when the parent goes, in SQL's words.
    pub on_delete: String,
    /// The same when what it refers to becomes another value.
    pub on_update: String,
}

impl Link {
    /// The parent's delete is refused as long as there are children.
    pub fn restricts(&self) -> bool {
        matches!(self.on_delete.as_str(), "NO ACTION" | "RESTRICT")
    }

    /// The child's columns become what the parent's become, or are emptied.
    pub fn follows(&self) -> bool {
        !matches!(self.on_update.as_str(), "NO ACTION" | "RESTRICT")
    }

    /// In words: the child's columns, the parent, and the values that it lacks.
    fn words(&self, values: &[Value]) -> String {
        let values: Vec<String> = values.iter().map(shown).collect();
        format!(
            "{}({}) refers to {}({}) {}, which is missing",
            self.child,
            self.from.join(", "),
            self.parent,
            self.to.join(", "),
            values.join(", ")
        )
    }
}

/// The foreign keys of all tables of the file; none when they are not enforced on this connection.
///
/// # Errors
/// SQLite's.
pub fn links(database: &Database) -> Result<Vec<Link>> {
    match enforces_references(database.connection()) {
        true => declared(database),
        false => Ok(Vec::new()),
    }
}

/// All foreign keys, whether SQLite enforces them or not.
///
/// # Errors
/// SQLite's.
pub fn declared(database: &Database) -> Result<Vec<Link>> {
    let mut links: Vec<Link> = Vec::new();
    let columns = database.query_all(
        &format!(
            "SELECT child.name, k.seq, parent.name, k.\"from\", k.\"to\", k.on_delete, \
             k.on_update \
             FROM {REFERRING} AS child CROSS JOIN pragma_foreign_key_list(child.name, ?1) AS k \
             CROSS JOIN main.sqlite_master AS parent ON parent.type = 'table' AND parent.name = k.\"table\" COLLATE NOCASE \
             ORDER BY child.name, k.id, k.seq"
        ),
        &[database.schema().into()],
        |row| {
            let names = (row.text(0), row.integer(1), row.text(2), row.text(3));
            Ok((names, row.optional_text(4), [row.text(5), row.text(6)]))
        },
    )?;
    for ((child, number, parent, from), to, [on_delete, on_update]) in columns {
        if number == 0 {
            links.push(Link {
                child,
                from: Vec::new(),
                parent,
                to: Vec::new(),
                on_delete,
                on_update,
            });
        }
        if let Some(link) = links.last_mut() {
            link.from.push(from);
            link.to.extend(to);
        }
    }
    for link in &mut links {
        if link.to.is_empty() {
            link.to = database.query_all(
                "SELECT name FROM pragma_table_info(?1, ?2) WHERE pk > 0 ORDER BY pk",
                &[link.parent.as_str().into(), database.schema().into()],
                |row| Ok(row.text(0)),
            )?;
        }
    }
    links.retain(|link| link.from.len() == link.to.len());
    Ok(links)
}

/// A row that refers to one that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Broken {
    /// Index into the links.
    link: usize,
    /// Its key; none when its table is not one of this answer.
    child: Option<(usize, Key)>,
    values: Vec<Key>,
    /// Its parent is missing now; otherwise it would be, if the parent were taken out.
    is_sure: bool,
}

/// The broken references of a file.
pub struct Search<'a> {
    database: &'a Database,
    bindings: &'a [Binding],
    links: Vec<Link>,
    broken: HashSet<Broken>,
    /// How often each reference is broken: its number among the links, and its values.
    counts: HashMap<(usize, Vec<Key>), i64>,
}

impl<'a> Search<'a> {
    /// Whether the connection's transaction can't be committed for a broken reference.
    pub fn is_due(connection: Connection) -> bool {
        connection.has_broken_references()
    }

    /// The same of an answer that was applied; or it was only on trial.
    pub fn is_due_after(connection: Connection, refusals: &Refusals) -> bool {
        refusals.trial().is_some() || Self::is_due(connection)
    }

    /// Looks for all broken references. `deep`: and for the rows that would be left without a parent if those that have
    /// none were taken out.
    ///
    /// # Errors
    /// SQLite's.
    pub fn now(database: &'a Database, bindings: &'a [Binding], deep: bool) -> Result<Self> {
        let mut search = Self {
            database,
            bindings,
            links: links(database)?,
            broken: HashSet::new(),
            counts: HashMap::new(),
        };
        for number in 0..search.links.len() {
            search.look_at(number, deep)?;
        }
        Ok(search)
    }

    fn place_of(&self, table: &str) -> Option<usize> {
        let mut bindings = self.bindings.iter();
        bindings.position(|binding| binding.table.shape.name.eq_ignore_ascii_case(table))
    }

    /// What names a row of a table: its key, if it is one of this answer.
    fn key_of(&self, table: &str) -> String {
        self.place_of(table)
            .map_or_else(|| "NULL".into(), |place| self.bindings[place].key_name())
    }

    fn look_at(&mut self, number: usize, deep: bool) -> Result<()> {
        let link = &self.links[number];
        let from: Vec<String> = link.from.iter().map(|name| quote_name(name)).collect();
        let sql = format!(
            "SELECT {}, {} {}",
            self.key_of(&link.child),
            from.join(", "),
            self.dangling(link, |from, _| format!("{from} IS NOT NULL")),
        );
        let place = self.place_of(&link.child);
        let width = from.len();
        let mut scan = self.database.connection().prepare(&sql)?;
        let mut found = Vec::new();
        while scan.step()? {
            found.push(broken(&scan, number, place, width, true));
        }
        drop(scan);
        for broken in found {
            let reference = (number, broken.values.clone());
            *self.counts.entry(reference).or_default() += 1;
            match deep {
                true => self.add(broken)?,
                false => {
                    self.broken.insert(broken);
                }
            }
        }
        Ok(())
    }

    /// The rows, c, that refer to nothing by a foreign key. `given`: a condition on each of its columns, by name and number.
    fn dangling(&self, link: &Link, given: impl Fn(&str, usize) -> String) -> String {
        let from: Vec<String> = link
            .from
            .iter()
            .map(|name| format!("c.{}", quote_name(name)))
            .collect();
        let given: Vec<String> = from
            .iter()
            .zip(1..)
            .map(|(name, number)| given(name, number))
            .collect();
        let met: Vec<String> = link
            .to
            .iter()
            .zip(&from)
            // SQLite compares by the affinity of the parent's column alone.
            .map(|(to, from)| format!("p.{} = +{from}", quote_name(to)))
            .collect();
        format!(
            "FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
            self.database.qualified(&link.child),
            given.join(" AND "),
            self.database.qualified(&link.parent),
            met.join(" AND "),
        )
    }

    /// The references that are broken more often than before the answer, which has been undone.
    fn targets(&self, before: &Self) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        for (reference, count) in &self.counts {
            if before
                .counts
                .get(reference)
                .is_some_and(|known| known >= count)
            {
                continue;
            }
            let link = &self.links[reference.0];
            let rows = self.dangling(link, |from, number| format!("{from} = ?{number}"));
            let values: Vec<Value> = reference.1.iter().map(|value| value.0.clone()).collect();
            let target = Target {
                sql: format!("SELECT count(*) {rows}"),
                words: link.words(&values),
                values,
                count: Cell::new(0),
            };
            target.count.set(target.look(self.database)?);
            targets.push(target);
        }
        Ok(targets)
    }

    /// Adds a row and, since it may be taken out, those that refer to it.
    fn add(&mut self, first: Broken) -> Result<()> {
        let mut due = vec![first];
        while let Some(next) = due.pop() {
            let child = next.child.clone();
            if !self.broken.insert(next) {
                continue;
            }
            if let Some((place, key)) = child {
                due.extend(self.children(place, &key)?);
            }
        }
        Ok(())
    }

    fn children(&self, place: usize, key: &Key) -> Result<Vec<Broken>> {
        let shape = &self.bindings[place].table.shape;
        let mut children = Vec::new();
        for (number, link) in self.links.iter().enumerate() {
            let is_ours = link.parent.eq_ignore_ascii_case(&shape.name)
                && link.to.len() == 1
                && link.to[0].eq_ignore_ascii_case(&shape.keys()[0].name);
            let (true, Some(child)) = (is_ours, self.place_of(&link.child)) else {
                continue;
            };
            let from = quote_name(&link.from[0]);
            let sql = format!(
                "SELECT {}, {from} FROM {} WHERE {}",
                self.bindings[child].key_name(),
                self.bindings[child].qualified,
                refers(&link.from[0], key),
            );
            let mut scan = self.database.connection().prepare(&sql)?;
            scan.bind(1, key.0.borrow())?;
            while scan.step()? {
                children.push(broken(&scan, number, Some(child), 1, false));
            }
        }
        Ok(children)
    }

    /// Blames rows of the answer, which has been undone. False when none is to blame.
    ///
    /// # Errors
    /// SQLite's.
    pub fn blame(self, refusals: &Refusals) -> Result<bool> {
        let before = Self::now(self.database, self.bindings, false)?;
        let mut blamed = false;
        for broken in self.broken.difference(&before.broken) {
            blamed |= self.blame_one(broken, refusals)?;
        }
        if blamed {
            return Ok(true);
        }
        let trial = match refusals.trial() {
            Some(trial) if trial.is_thorough || !trial.has_targets() => trial,
            // It shows when the rows are looked at one by one.
            trial => {
                let targets = self.targets(&before)?;
                refusals.put_on_trial(Trial::new(targets, trial.is_some()));
                return Ok(true);
            }
        };
        for broken in self.broken.difference(&before.broken) {
            blamed |= self.blame_changed_parent(broken, refusals)?;
        }
        if blamed {
            return Ok(true);
        }
        // SQLite also refuses to write a reference again that was broken before.
        for broken in self.broken.iter().filter(|broken| broken.is_sure) {
            let Some((place, key)) = &broken.child else {
                continue;
            };
            let values: Vec<Value> = broken.values.iter().map(|value| value.0.clone()).collect();
            let reason = Reason::missing(self.links[broken.link].words(&values));
            let table = self.bindings[*place].table.id;
            blamed |= refusals.refuse_row(table, key, reason);
        }
        if blamed {
            return Ok(true);
        }
        // What refers to a number that was counted here too, and can't follow the row with it: that keeps its number.
        for (table, key) in refusals.displacing() {
            let reason = Reason::missing(
                "a row that was made here has its number, and what refers to that can't follow it to another".into(),
            );
            blamed |= refusals.refuse_row(table, &key, reason);
        }
        if blamed {
            return Ok(true);
        }
        // Something came of these that nobody can follow.
        for suspect in trial.suspects() {
            let words = "rows refer to it, or to what goes with it, or what comes with it refers to rows that are missing";
            blamed |= refusals.refuse(&suspect, Reason::missing(words.into()));
        }
        Ok(blamed)
    }

    fn blame_one(&self, broken: &Broken, refusals: &Refusals) -> Result<bool> {
        let link = &self.links[broken.link];
        let values: Vec<Value> = broken.values.iter().map(|value| value.0.clone()).collect();
        let words = link.words(&values);
        if let Some((place, key)) = &broken.child {
            let binding = &self.bindings[*place];
            let before = self.references(link, binding, key)?;
            let is_changed = before.as_deref() != Some(&values[..]);
            let has_parent = || self.parent(link, &values, "1").map(|found| found.is_some());
            if is_changed && (broken.is_sure || !has_parent()?) {
                let reason = Reason::missing(words.clone());
                let table = binding.table.id;
                if refusals.refuse_row(table, key, reason)
                    || refusals.undecide(table, key, &link.from, words.clone())
                {
                    return Ok(true);
                }
                // It is held, and the policy has decided that it refers so all the same.
                let columns = link.from.iter();
                let spared = columns.filter(|column| refusals.spare(table, key, Some(column)));
                if spared.count() > 0 {
                    return Ok(true);
                }
            }
        }
        match broken.is_sure {
            true => self.blame_parent(link, &values, &words, refusals, 0),
            false => Ok(false),
        }
    }

    /// The references of a row before the answer; none when there was no such row.
    fn references(&self, link: &Link, binding: &Binding, key: &Key) -> Result<Option<Vec<Value>>> {
        let from: Vec<String> = link.from.iter().map(|name| quote_name(name)).collect();
        let name = binding.key_name();
        let sql = format!(
            "SELECT {} FROM {} WHERE {name} = ?1 AND {name} = ?1 COLLATE BINARY",
            from.join(", "),
            binding.qualified
        );
        let mut read = self.database.connection().prepare(&sql)?;
        read.bind(1, key.0.borrow())?;
        Ok(read.step()?.then(|| read.row()))
    }

    /// `what` of the parent that these values name.
    fn parent(&self, link: &Link, values: &[Value], what: &str) -> Result<Option<Value>> {
        let mut read = find(
            self.database.connection(),
            &self.database.qualified(&link.parent),
            &link.to,
            what,
        )?;
        let values: Vec<ValueRef<'_>> = values.iter().map(Value::borrow).collect();
        read.bind_all(&values)?;
        Ok(read.step()?.then(|| read.column(0).to_owned()))
    }

    /// The parent is not what it was.
    fn blame_changed_parent(&self, broken: &Broken, refusals: &Refusals) -> Result<bool> {
        let link = &self.links[broken.link];
        let values: Vec<Value> = broken.values.iter().map(|value| value.0.clone()).collect();
        let place = self.place_of(&link.parent).filter(|_| broken.is_sure);
        let Some(binding) = place.map(|place| &self.bindings[place]) else {
            return Ok(false);
        };
        let key = self.parent(link, &values, &binding.key_name())?;
        let reason = Reason::missing(link.words(&values));
        Ok(key.is_some_and(|key| refusals.refuse_row(binding.table.id, &Key(key), reason)))
    }

    /// The parent went, perhaps with its own parent.
    fn blame_parent(
        &self,
        link: &Link,
        values: &[Value],
        words: &str,
        refusals: &Refusals,
        depth: usize,
    ) -> Result<bool> {
        const DEEPEST: usize = 50;
        let Some(place) = self.place_of(&link.parent) else {
            return Ok(false);
        };
        let binding = &self.bindings[place];
        let Some(key) = self.parent(link, values, &binding.key_name())?.map(Key) else {
            return Ok(false);
        };
        let table = binding.table.id;
        let reason = Reason::missing(words.to_owned());
        if refusals.was_deleted(table, &key) {
            return Ok(refusals.refuse_delete(table, &key, reason));
        }
        let above = self
            .links
            .iter()
            .filter(|above| above.child.eq_ignore_ascii_case(&link.parent) && !above.restricts());
        for above in above.filter(|_| depth < DEEPEST) {
            let Some(values) = self.references(above, binding, &key)? else {
                continue;
            };
            if !values.contains(&Value::Null)
                && self.blame_parent(above, &values, words, refusals, depth + 1)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What SQLite would say of a broken reference.
pub fn broken_reference() -> Error {
    Error::Sqlite {
        code: 787,
        text: "FOREIGN KEY constraint failed".into(),
    }
}

fn broken(
    row: &Statement,
    link: usize,
    place: Option<usize>,
    width: usize,
    is_sure: bool,
) -> Broken {
    Broken {
        link,
        child: place.map(|place| (place, Key(row.column(0).to_owned()))),
        values: (1..=width)
            .map(|column| Key(row.column(column).to_owned()))
            .collect(),
        is_sure,
    }
}

/// The condition that a column refers to a key, the first parameter. A number is also meant by a text.
pub(super) fn refers(column: &str, key: &Key) -> String {
    let column = quote_name(column);
    match key.0 {
        Value::Integer(_) => format!("CAST(?1 AS NUMERIC) = {column}"),
        _ => format!("{column} = ?1"),
    }
}

/// Finds rows of a table by some columns.
pub fn find(
    connection: Connection,
    table: &str,
    columns: &[String],
    what: &str,
) -> Result<Statement> {
    let condition: Vec<String> = columns
        .iter()
        .zip(1..)
        .map(|(name, number)| format!("{} = ?{number}", quote_name(name)))
        .collect();
    connection.prepare(&format!(
        "SELECT {what} FROM {table} WHERE {} LIMIT 1",
        condition.join(" AND ")
    ))
}
