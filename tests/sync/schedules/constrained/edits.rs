//! Random edits as a program makes them.

use support::Random;

use super::world::{TABLES, World};

/// Makes up the statements of one step. No mark is used twice.
pub struct Author<'a> {
    pub world: &'a World,
    /// What is in front of every mark: who, and in which step.
    pub prefix: String,
    pub counter: u64,
    /// What the column that is not synced is called on this device, table by table: a migration may rename or drop it.
    pub locals: Vec<Option<String>>,
}

/// The references of a table, and to what.
fn references(table: &str) -> (&'static str, &'static str) {
    match table {
        "item" => ("up", "item"),
        "line" => ("note", "note"),
        _ => ("item", "item"),
    }
}

impl Author<'_> {
    /// The statements of one transaction.
    pub fn draft(&mut self, random: &mut Random) -> Vec<String> {
        let number = match random.below(10) {
            0..=6 => 1,
            7 | 8 => 2 + random.below(2),
            _ => 4 + random.below(4),
        };
        (0..number).map(|_| self.statement(random)).collect()
    }

    fn mark(&mut self) -> String {
        self.counter += 1;
        format!("'{}.{}'", self.prefix, self.counter)
    }

    /// Few keys, so that edits meet.
    fn key(&self, random: &mut Random, table: &str) -> String {
        let number = random.below(6) + 1;
        match table {
            "note" => number.to_string(),
            _ => format!("'{}{number}'", &table[..1]),
        }
    }

    fn new_key(&mut self, table: &str) -> String {
        match table {
            // As SQLite counts.
            "note" => "NULL".into(),
            _ => self.mark().replace('.', "_"),
        }
    }

    fn reference(&self, random: &mut Random, table: &str) -> String {
        match random.below(4) {
            0 => "NULL".into(),
            _ => self.key(random, references(table).1),
        }
    }

    fn insert(&mut self, random: &mut Random, verb: &str, table: &str, key: &str) -> String {
        let (born, a, b) = (self.mark(), self.mark(), self.mark());
        let (n, reference) = (random.below(6), self.reference(random, table));
        let mut names = format!("id, born, a, b, n, {}", references(table).0);
        let mut values = format!("{key}, {born}, {a}, {b}, {n}, {reference}");
        if has_slot(table) {
            names += ", slot";
            values += &format!(", {}", random.below(12));
        }
        if let Some(local) = self.local(table) {
            names += &format!(", {local}");
            values += ", 'here'";
        }
        format!("{verb} INTO {table} ({names}) VALUES ({values})")
    }

    fn local(&self, table: &str) -> Option<&str> {
        let place = TABLES.iter().position(|name| *name == table)?;
        self.locals[place].as_deref()
    }

    /// A column and its new value.
    fn cell(&mut self, random: &mut Random, table: &str) -> (&'static str, String) {
        match random.below(8) {
            0..=2 => ("a", self.mark()),
            3 | 4 => ("b", self.mark()),
            5 if has_slot(table) => ("slot", random.below(12).to_string()),
            6 => (references(table).0, self.reference(random, table)),
            7 if random.chance(50) => ("later", self.mark()),
            _ => ("n", random.below(6).to_string()),
        }
    }

    fn statement(&mut self, random: &mut Random) -> String {
        let table = TABLES[random.roll(TABLES.len())];
        let key = self.key(random, table);
        match random.below(20) {
            0..=2 => {
                let new = self.new_key(table);
                self.insert(random, "INSERT", table, &new)
            }
            3 | 4 => self.insert(random, "INSERT OR IGNORE", table, &key),
            5 if self.world.evicts() => self.insert(random, "INSERT OR REPLACE", table, &key),
            6 if self.world.evicts() => self.replaced_by_itself(table, &key),
            7 => {
                let insert = self.insert(random, "INSERT", table, &key);
                let (column, value) = self.cell(random, table);
                format!("{insert} ON CONFLICT (id) DO UPDATE SET {column} = {value}")
            }
            8 | 9 => format!("DELETE FROM {table} WHERE id = {key}"),
            10 => {
                let other = match table {
                    "note" => format!("{key} + {}", 1 + random.below(40)),
                    _ => self.new_key(table),
                };
                format!("UPDATE {table} SET id = {other} WHERE id = {key}")
            }
            11 => {
                let (column, value) = self.cell(random, table);
                let value = if column == "slot" {
                    "NULL".into()
                } else {
                    value
                };
                format!("UPDATE {table} SET {column} = {value} WHERE id >= {key}")
            }
            12 if has_slot(table) => {
                // Two rows take each other's value.
                let (one, two) = (random.below(12), random.below(12));
                format!(
                    "UPDATE {table} SET slot = -1 WHERE slot = {one}; UPDATE {table} SET slot = {one} WHERE slot = {two};
                     UPDATE {table} SET slot = {two} WHERE slot = -1"
                )
            }
            _ => {
                if random.chance(5)
                    && let Some(local) = self.local(table)
                {
                    return format!("UPDATE {table} SET {local} = 'edited' WHERE id = {key}");
                }
                let (column, value) = self.cell(random, table);
                format!("UPDATE {table} SET {column} = {value} WHERE id = {key}")
            }
        }
    }

    /// With one value that is new. Where triggers are recursive, all others count as written again too.
    fn replaced_by_itself(&mut self, table: &str, key: &str) -> String {
        let a = self.mark();
        let slot = if has_slot(table) { "slot, " } else { "" };
        let rest = format!("b, n, {slot}{}", references(table).0);
        format!(
            "INSERT OR REPLACE INTO {table} (id, born, a, {rest}) SELECT id, born, {a}, {rest} FROM {table} WHERE id = {key}"
        )
    }
}

fn has_slot(table: &str) -> bool {
    matches!(table, "item" | "part")
}

/// Whether a statement is of the kind of `replaced_by_itself`.
pub fn replaces_itself(sql: &str) -> bool {
    sql.starts_with("INSERT OR REPLACE") && sql.contains("SELECT")
}
