//! What a seed draws before anything happens: constraints here and there, triggers, settings.

use serde_json::{Value, json};
use support::{PATIENCE, Random};

/// Parents before what refers to them; `item` refers to itself.
pub const TABLES: &[&str] = &["item", "part", "note", "line"];

/// Columns that hold marks, which no two edits share. `later` is only here after a migration.
pub const MARKED: &[&str] = &["born", "a", "b", "later"];

/// Tables of which triggers of the application may keep a copy.
pub const MIRRORED: &[&str] = &["part", "note"];

/// Foreign keys as they are declared, or not at all.
const ACTIONS: &[Option<&str>] = &[
    None,
    Some(""),
    Some("ON DELETE RESTRICT"),
    Some("ON DELETE CASCADE"),
    Some("ON DELETE SET NULL"),
    Some("ON UPDATE CASCADE"),
    Some("ON DELETE CASCADE ON UPDATE CASCADE"),
];

/// What the backend makes of foreign keys.
#[derive(Clone, Copy, Debug, PartialEq)]
enum There {
    Same,
    /// It refuses what breaks them.
    Checked,
    Unknown,
}

/// The columns that refer: of `item` to itself, of `part` and `note` to `item`, of `line` to `note`.
type References = [Option<&'static str>; 4];

/// What both devices and the backend are like.
#[derive(Debug)]
pub struct World {
    references: References,
    unique: bool,
    unique_there: bool,
    /// Greatest values that CHECK lets pass: on each device, on the backend.
    pub most: [i64; 3],
    strict: bool,
    autoincrement: bool,
    there: There,
    /// Triggers of the application: they stamp, they count in other rows, they keep a copy.
    stamps: bool,
    counts: bool,
    pub mirrors: bool,
    pub foreign_keys: bool,
    pub recursive: bool,
    pub journal: &'static str,
    pub entities: Vec<&'static str>,
    pub policy: &'static str,
    config: Value,
}

impl World {
    pub fn draw(seed: u64) -> World {
        let mut random = Random(seed);
        let random = &mut random;
        let mut references = References::default();
        for action in &mut references {
            *action = *random.pick(ACTIONS);
        }
        // A backend that knows no foreign keys keeps what an action takes away here: that is no convergence.
        let acts = |action: &Option<&str>| {
            action.is_some_and(|action| action.contains("DELETE C") || action.contains("NULL"))
        };
        let there = match random.roll(3) {
            0 => There::Same,
            1 if !references.iter().any(acts) => There::Unknown,
            _ => There::Checked,
        };
        let mut entities = TABLES.to_vec();
        for place in (1..entities.len()).rev() {
            entities.swap(place, random.roll(place + 1));
        }
        let on_clash = *random.pick(&["hold", "adopt", "serverWins"]);
        let clashes: serde_json::Map<_, _> = TABLES
            .iter()
            .map(|table| ((*table).to_owned(), json!(on_clash)))
            .collect();
        let unique = random.chance(60);
        let config = json!({"onClash": clashes, "migrations": "auto",
            "pushBatch": random.pick(&[0, 0, 1, 3, 10]), "attempts": 1 + random.below(2),
            "idAs": random.pick(&["string", "number"]), "sendMeta": random.chance(80),
            "echoIgnore": ["touched"]});
        World {
            references,
            unique,
            unique_there: unique && random.chance(60),
            most: [0, 0, 0].map(|_| 3 + random.below(4) as i64),
            strict: random.chance(30),
            autoincrement: random.chance(50),
            there,
            stamps: random.chance(30),
            counts: random.chance(30),
            mirrors: random.chance(30),
            foreign_keys: random.chance(75),
            recursive: random.chance(30),
            // The tests of both journals share the seeds.
            journal: if seed % 2 == 1 { "wal" } else { "delete" },
            entities,
            policy: random.pick::<&str>(&[
                "columns",
                "columns",
                "columns",
                "serverWins",
                "clientWins",
            ]),
            config,
        }
    }

    /// Settings that every connection of a device is given.
    pub fn settings(&self) -> String {
        let word = |on| if on { "ON" } else { "OFF" };
        format!(
            "PRAGMA synchronous = OFF; PRAGMA foreign_keys = {}; PRAGMA recursive_triggers = {};",
            word(self.foreign_keys),
            word(self.recursive)
        )
    }

    pub fn config(&self, url: &str, more: &Value) -> Value {
        let patience = PATIENCE.as_millis() as u64;
        let mut config = json!({"kind": "watermelon", "url": url, "backoffMs": 1, "maxBackoffMs": 5,
            "timeoutMs": patience, "busyTimeoutMs": patience});
        for part in [&self.config, more] {
            for (key, value) in part.as_object().into_iter().flatten() {
                config[key] = value.clone();
            }
        }
        config
    }

    /// Whether REPLACE may evict rows: without recursive triggers no trigger of the application hears of that.
    pub fn evicts(&self) -> bool {
        !self.mirrors
    }

    pub fn tables_of_a_device(&self, who: usize) -> String {
        let references = self.references.map(|action| reference(action, false));
        self.tables(
            &references,
            self.unique,
            self.most[who],
            "local TEXT,",
            "",
            self.strict,
        ) + &self.triggers(who)
    }

    pub fn tables_of_the_backend(&self) -> String {
        let references = self.references.map(|action| match self.there {
            There::Unknown => String::new(),
            There::Same => reference(action, false),
            There::Checked => reference(action, true),
        });
        self.tables(
            &references,
            self.unique_there,
            self.most[2],
            "",
            ", later TEXT",
            false,
        )
    }

    /// `local` and `later` are columns that only devices, and at first only the backend have.
    fn tables(
        &self,
        references: &[String; 4],
        unique: bool,
        most: i64,
        local: &str,
        later: &str,
        strict: bool,
    ) -> String {
        let unique = if unique { "UNIQUE" } else { "" };
        let autoincrement = if self.autoincrement {
            "AUTOINCREMENT"
        } else {
            ""
        };
        let strict = if strict { "STRICT" } else { "" };
        let [up, part, note, line] = references;
        let (item, counted) = (
            |of: &String| of.replace('?', "item"),
            |of: &String| of.replace('?', "note"),
        );
        format!(
            "CREATE TABLE item (id TEXT PRIMARY KEY NOT NULL, born TEXT, a TEXT, {local} b TEXT, slot INTEGER {unique},
               n INTEGER CHECK (n <= {most}), up TEXT {}, counter INTEGER NOT NULL DEFAULT 0, touched TEXT{later}) {strict};
             CREATE TABLE part (id TEXT PRIMARY KEY NOT NULL, born TEXT, a TEXT, {local} b TEXT, slot INTEGER {unique},
               n INTEGER CHECK (n <= {most}), item TEXT {}{later}) {strict};
             CREATE TABLE note (id INTEGER PRIMARY KEY {autoincrement}, born TEXT, a TEXT, {local} b TEXT, n INTEGER,
               item TEXT {}{later}) {strict};
             CREATE TABLE line (id TEXT PRIMARY KEY NOT NULL, born TEXT, a TEXT, {local} b TEXT, n INTEGER,
               note INTEGER {}{later}) {strict};",
            item(up),
            item(part),
            item(note),
            counted(line)
        )
    }

    fn triggers(&self, who: usize) -> String {
        let mut all = String::new();
        if self.stamps {
            all += &format!(
                "CREATE TRIGGER stamp AFTER UPDATE OF a ON item BEGIN
                   UPDATE item SET touched = 'by {who}' WHERE id = NEW.id; END;
                 CREATE TRIGGER stamp_new AFTER INSERT ON item BEGIN
                   UPDATE item SET touched = 'by {who}' WHERE id = NEW.id; END;"
            );
        }
        if self.counts {
            all += "CREATE TRIGGER counted AFTER INSERT ON part BEGIN
                      UPDATE item SET counter = counter + 1 WHERE id = NEW.item; END;";
        }
        if self.mirrors {
            all += "CREATE TABLE mirror (tab TEXT, id, a TEXT);";
            for table in MIRRORED {
                all += &format!(
                    "CREATE TRIGGER mirror_i_{table} AFTER INSERT ON {table} BEGIN
                       INSERT INTO mirror VALUES ('{table}', NEW.id, NEW.a); END;
                     CREATE TRIGGER mirror_u_{table} AFTER UPDATE ON {table} BEGIN
                       UPDATE mirror SET id = NEW.id, a = NEW.a WHERE tab = '{table}' AND id = OLD.id; END;
                     CREATE TRIGGER mirror_d_{table} AFTER DELETE ON {table} BEGIN
                       DELETE FROM mirror WHERE tab = '{table}' AND id = OLD.id; END;"
                );
            }
        }
        all
    }
}

/// `?` is the table that it refers to.
fn reference(action: Option<&str>, plain: bool) -> String {
    match action {
        None => String::new(),
        Some(_) if plain => "REFERENCES ? (id)".into(),
        Some(action) => format!("REFERENCES ? (id) {action}"),
    }
}
