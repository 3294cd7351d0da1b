//! References that let go of what they refer to for a while, so that no foreign key's action finds them. Triggers are to be
//! off meanwhile, so that nobody notices.

use crate::capture::Key;
use crate::store::{Database, Result, Value, ValueRef, quote_name};
use crate::transfer::binding::Binding;
use crate::transfer::held::foreign::Link;

/// References that are out of the way.
#[derive(Clone)]
pub struct Loose {
    /// Quoted, schema and all.
    pub table: String,
    column: String,
    /// What they were, to the byte.
    value: Value,
    /// What they are meanwhile. No other reference has it.
    meanwhile: Value,
}

impl Loose {
    /// They refer again to what they referred to.
    ///
    /// # Errors
    /// SQLite's.
    pub fn give_back(&self, database: &Database) -> Result<()> {
        let values = [self.value.borrow(), self.meanwhile.borrow()];
        self.write(database, &self.holds(), &values)?;
        Ok(())
    }

    /// One row of them refers again to what it referred to; whether it is one.
    ///
    /// # Errors
    /// SQLite's.
    pub fn show(&self, database: &Database, own: &Binding, key: &Key) -> Result<bool> {
        let values = [self.value.borrow(), self.meanwhile.borrow(), key.0.borrow()];
        let condition = format!("{} AND {}", self.holds(), is_row(own));
        Ok(self.write(database, &condition, &values)? > 0)
    }

    /// It lets go again, unless the answer has `brought` what it refers to now. Where it has not, another value is the work
    /// of an action that took the row for another.
    ///
    /// # Errors
    /// SQLite's.
    pub fn hide(
        &self,
        database: &Database,
        own: &Binding,
        key: &Key,
        brought: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let values = [self.meanwhile.borrow(), self.value.borrow(), key.0.borrow()];
        let condition = match brought(&self.column) {
            true => format!("{} AND {}", self.holds(), is_row(own)),
            false => is_row(own),
        };
        self.write(database, &condition, &values)?;
        Ok(())
    }

    fn holds(&self) -> String {
        let column = &self.column;
        format!("{column} = ?2 AND {column} IS ?2 COLLATE BINARY")
    }

    fn write(&self, database: &Database, when: &str, values: &[ValueRef<'_>]) -> Result<i64> {
        let (table, column) = (&self.table, &self.column);
        let sql = format!("UPDATE OR ABORT {table} SET {column} = ?1 WHERE {when}");
        database.connection().prepare(&sql)?.run(values)
    }
}

/// The rows that refer to one of a table by a foreign key.
pub struct Referring {
    child: String,
    column: String,
    parent: String,
    /// That row p of the parent is the one with key ?1.
    is_it: String,
    /// That row c of the child refers to row p.
    refers: String,
}

impl Referring {
    pub fn new(database: &Database, parent: &Binding, link: &Link) -> Self {
        let met = link.to.iter().zip(&link.from).map(|(to, from)| {
            let (to, from) = (quote_name(to), quote_name(from));
            // As SQLite compares them: by affinity and collation of the parent's column alone. The first comparison, by which
            // an index can be used, is true at least as often.
            format!("p.{to} = c.{from} AND p.{to} = +c.{from}")
        });
        let met: Vec<String> = met.collect();
        let name = parent.key_name();
        Self {
            child: database.qualified(&link.child),
            column: quote_name(&link.from[0]),
            parent: parent.qualified.clone(),
            is_it: format!("p.{name} = ?1 AND p.{name} = ?1 COLLATE BINARY"),
            refers: met.join(" AND "),
        }
    }

    /// The rows of the child, c, that refer to the one.
    fn rows(&self) -> String {
        let (child, parent) = (&self.child, &self.parent);
        let (is_it, refers) = (&self.is_it, &self.refers);
        format!("{parent} AS p JOIN {child} AS c ON {refers} WHERE {is_it}")
    }

    /// The keys of the rows that refer to one. `name`: their key, quoted.
    ///
    /// # Errors
    /// SQLite's.
    pub fn keys(&self, database: &Database, name: &str, key: &Key) -> Result<Vec<Key>> {
        let sql = format!("SELECT c.{name} FROM {}", self.rows());
        database.query_all(&sql, &[key.0.borrow()], |row| {
            Ok(Key(row.column(0).to_owned()))
        })
    }

    /// All that refers to a row lets go of it, but what can't be written so (a column that is computed, one with a CHECK).
    ///
    /// # Errors
    /// SQLite's.
    pub fn let_go(&self, database: &Database, key: &Key) -> Result<Vec<Loose>> {
        self.let_go_of(database, key, "", &[])
    }

    /// The same for one row.
    ///
    /// # Errors
    /// SQLite's.
    pub fn let_one_go(
        &self,
        database: &Database,
        key: &Key,
        own: &Binding,
        child: &Key,
    ) -> Result<Vec<Loose>> {
        let name = own.key_name();
        let and = format!(" AND c.{name} = ?2 AND c.{name} = ?2 COLLATE BINARY");
        self.let_go_of(database, key, &and, &[child.0.borrow()])
    }

    /// `and`: which of them, with the parameters ?2 and on.
    fn let_go_of(
        &self,
        database: &Database,
        key: &Key,
        and: &str,
        of: &[ValueRef<'_>],
    ) -> Result<Vec<Loose>> {
        let connection = database.connection();
        let (child, column, parent) = (&self.child, &self.column, &self.parent);
        let (is_it, refers) = (&self.is_it, &self.refers);
        let mut next = connection.prepare(&format!(
            "SELECT c.{column} FROM {}{and} LIMIT 1",
            self.rows()
        ))?;
        let (new, old) = (of.len() + 2, of.len() + 3);
        let sql = format!(
            "UPDATE OR ABORT {child} AS c SET {column} = ?{new} \
             WHERE c.{column} = ?{old} AND c.{column} IS ?{old} COLLATE BINARY \
             AND EXISTS (SELECT 1 FROM {parent} AS p WHERE {is_it} AND {refers}){and}"
        );
        let mut values = vec![key.0.borrow()];
        values.extend_from_slice(of);
        let mut loose = Vec::new();
        loop {
            next.bind_all(&values)?;
            let value = next.step()?.then(|| next.column(0).to_owned());
            next.reset();
            let Some(value) = value else { return Ok(loose) };
            let unlike = match value {
                Value::Integer(_) | Value::Real(_) => "SELECT -abs(random() >> 1)",
                Value::Blob(_) => "SELECT randomblob(16)",
                _ => "SELECT hex(randomblob(16))",
            };
            let meanwhile = database.query_value(unlike, &[])?;
            let mut values = values.clone();
            values.extend([meanwhile.borrow(), value.borrow()]);
            match connection
                .prepare(&sql)
                .and_then(|mut update| update.run(&values))
            {
                Err(error) if error.is_constraint() || error.code() == 1 => return Ok(loose),
                Ok(0) => return Ok(loose),
                outcome => outcome?,
            };
            loose.push(Loose {
                table: child.clone(),
                column: column.clone(),
                value,
                meanwhile,
            });
        }
    }
}

/// That a row is the one with key ?3.
fn is_row(own: &Binding) -> String {
    let name = own.key_name();
    format!("{name} = ?3 AND {name} = ?3 COLLATE BINARY")
}
