//! Sending the backend the changes of the schema since the last pull.
//!
//! LPA is the cursor, MEA `migrationsEnabledAtVersion`, LS the schema version at the last sync, CV the
//! present one.
//!
//! | LPA | MEA | LS | sent | LS becomes CV |
//! |---|---|---|---|---|
//! | none | any | any | nothing | yes |
//! | some | unset | any | nothing | no |
//! | some | set | = CV | nothing | no |
//! | some | set | < CV | from LS | yes |
//! | some | < CV | unset | from MEA, with a warning | yes |
//!
//! LS > CV, MEA > CV and a range that the migrations don't cover end the sync before any request.
//! With `"migrations":"auto"` nothing is declared: what is sent are the entities and columns that the last
//! sync did not have.

use crate::ground::{Warning, quoted};
use crate::providers::conversation::LastSchema;
use serde_json::{Value as Json, json};

/// What one pull sends the backend about the schema.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notice {
    pub migration: Option<Json>,
    /// LS becomes CV with this pull.
    pub store: bool,
    pub warning: Option<Warning>,
}

impl Notice {
    /// A pull from the beginning, which needs no migration.
    pub fn at_first() -> Self {
        Self {
            store: true,
            ..Self::default()
        }
    }
}

/// An entity as it is now.
pub struct Present<'a> {
    pub name: &'a str,
    pub columns: Vec<&'a str>,
    /// None when it has only just come.
    pub last: Option<&'a LastSchema>,
}

/// How migrations are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Policy {
    Never,
    Declared { enabled_at: i64, list: Migrations },
    Auto,
}

impl Policy {
    /// Reads `migrations` and `migrationsEnabledAtVersion`.
    ///
    /// # Errors
    /// Which key is wrong, and how.
    pub fn parse(migrations: Option<&Json>, enabled_at: Option<i64>) -> Result<Self, String> {
        let list = match migrations {
            None => None,
            Some(Json::String(auto)) if auto == "auto" => {
                return match enabled_at {
                    None => Ok(Self::Auto),
                    Some(_) => Err("migrationsEnabledAtVersion makes no sense with \"auto\" \
                                    migrations; leave it out, or list the migrations"
                        .into()),
                };
            }
            Some(list) => Some(Migrations::parse(list)?),
        };
        let Some(enabled_at) = enabled_at else {
            return Ok(Self::Never);
        };
        let list = list.filter(|list| !list.0.is_empty()).ok_or(
            "migrationsEnabledAtVersion is set, but there are no migrations; list them in migrations",
        )?;
        if enabled_at < list.oldest() {
            return Err(format!(
                "migrationsEnabledAtVersion is {enabled_at}, but migrations begin at version {}; add \
                 the older ones, or raise it",
                list.oldest()
            ));
        }
        Ok(Self::Declared { enabled_at, list })
    }

    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }

    /// Checks what depends on the database: CV, and LS of the entities of a sync.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn check(&self, current: i64, last: &[Option<i64>]) -> Result<(), String> {
        let Self::Declared { enabled_at, list } = self else {
            return Ok(());
        };
        if *enabled_at > current {
            return Err(format!(
                "migrationsEnabledAtVersion is {enabled_at}, but the schema version is {current}; set \
                 PRAGMA user_version or schemaVersion to the version that the tables have"
            ));
        }
        if let Some(last) = last.iter().flatten().max().filter(|last| **last > current) {
            return Err(format!(
                "the last sync was made with schema version {last}, but now it is {current}; an older \
                 program can't go on with this file"
            ));
        }
        let from = last.iter().map(|last| last.unwrap_or(*enabled_at)).min();
        match from {
            Some(from) if from < current => list.require(from, current),
            _ => Ok(()),
        }
    }

    /// Whether what a pull says then names a column of an entity.
    pub fn tells_of(&self, (table, column): (&str, &str), last: &LastSchema, current: i64) -> bool {
        match self {
            Self::Never => false,
            Self::Declared { enabled_at, list } => {
                let from = last.version.unwrap_or(*enabled_at);
                list.add(table, column, from, current)
            }
            Self::Auto => {
                let mut before = last.columns.iter().flatten();
                last.columns.is_some() && !before.any(|known| known == column)
            }
        }
    }

    /// What a pull of entities that have a cursor says. `entities` are all of the sync, `pulled` those of
    /// the pull.
    pub fn notice(&self, current: i64, entities: &[Present<'_>], pulled: &[usize]) -> Notice {
        match self {
            Self::Never => Notice::default(),
            Self::Declared { enabled_at, list } => {
                let versions: Vec<Option<i64>> = pulled
                    .iter()
                    .map(|place| entities[*place].last.and_then(|last| last.version))
                    .collect();
                list.notice(*enabled_at, current, &versions)
            }
            Self::Auto => difference_notice(current, entities, pulled),
        }
    }
}

/// What the entities and columns of a sync have become since the last one.
fn difference_notice(current: i64, entities: &[Present<'_>], pulled: &[usize]) -> Notice {
    let tables: Vec<&str> = entities
        .iter()
        .filter(|entity| entity.last.is_none())
        .map(|entity| entity.name)
        .collect();
    let mut columns = Vec::new();
    let mut from = current;
    let mut store = false;
    for entity in pulled.iter().map(|place| &entities[*place]) {
        let Some(last) = entity.last else { continue };
        from = from.min(last.version.unwrap_or(current));
        let Some(before) = &last.columns else {
            store = true;
            continue;
        };
        // One that goes is forgotten, or it would not be sent when it comes back.
        store |= entity.columns != *before;
        let added: Vec<&str> = entity
            .columns
            .iter()
            .filter(|name| !before.iter().any(|known| known == *name))
            .copied()
            .collect();
        if !added.is_empty() {
            columns.push(json!({"table": entity.name, "columns": added}));
        }
    }
    let anything = !tables.is_empty() || !columns.is_empty();
    Notice {
        migration: anything.then(|| json!({"from": from, "tables": tables, "columns": columns})),
        store: anything || store,
        warning: None,
    }
}

/// The declared migrations, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrations(Vec<Migration>);

#[derive(Debug, Clone, PartialEq)]
struct Migration {
    to: i64,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    CreateTable(String),
    AddColumns(String, Vec<String>),
    Sql,
}

impl Migrations {
    /// Reads the list, in any order.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(json: &Json) -> Result<Self, String> {
        let list = json
            .as_array()
            .ok_or("migrations must be \"auto\" or a list of {\"toVersion\":…,\"steps\":[…]}")?;
        let mut all = list
            .iter()
            .enumerate()
            .map(|(number, migration)| {
                Migration::parse(migration)
                    .map_err(|problem| format!("migrations[{number}]{problem}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|migration| migration.to);
        for pair in all.windows(2) {
            let (one, next) = (pair[0].to, pair[1].to);
            if one == next {
                return Err(format!("migrations lead to version {one} twice"));
            }
            if one + 1 != next {
                return Err(format!(
                    "migrations have a gap: none leads to version {}; add it, if need be without steps",
                    one + 1
                ));
            }
        }
        Ok(Self(all))
    }

    /// The version that the first one starts from.
    fn oldest(&self) -> i64 {
        self.0.first().map_or(0, |migration| migration.to - 1)
    }

    fn newest(&self) -> i64 {
        self.0.last().map_or(0, |migration| migration.to)
    }

    fn require(&self, from: i64, to: i64) -> Result<(), String> {
        if self.oldest() <= from && to <= self.newest() {
            return Ok(());
        }
        Err(format!(
            "migrations lead from version {} to {}, but those from {from} to {to} are needed; add \
             what is missing",
            self.oldest(),
            self.newest()
        ))
    }

    fn notice(&self, enabled_at: i64, current: i64, versions: &[Option<i64>]) -> Notice {
        let from = versions
            .iter()
            .map(|version| version.unwrap_or(enabled_at))
            .min();
        let Some(from) = from.filter(|from| *from < current) else {
            return Notice::default();
        };
        let unknown = versions.contains(&None);
        Notice {
            migration: Some(self.between(from, current)),
            store: true,
            warning: unknown.then(|| {
                Warning::new(
                    "schemaVersionUnknown",
                    format!(
                        "the schema version of the last sync is not known; {enabled_at} was assumed (migrationsEnabledAtVersion)"
                    ),
                )
            }),
        }
    }

    fn steps(&self, from: i64, to: i64) -> impl Iterator<Item = &Step> {
        let migrations = self.0.iter();
        let between = migrations.filter(move |step| from < step.to && step.to <= to);
        between.flat_map(|migration| &migration.steps)
    }

    /// Whether a column has come between two versions, by itself or with its table.
    fn add(&self, table: &str, column: &str, from: i64, to: i64) -> bool {
        self.steps(from, to).any(|step| match step {
            Step::CreateTable(name) => name == table,
            Step::AddColumns(name, added) => {
                name == table && added.iter().any(|added| added == column)
            }
            Step::Sql => false,
        })
    }

    /// What has come between two versions: tables, each once, and columns of other tables.
    fn between(&self, from: i64, to: i64) -> Json {
        let steps = || self.steps(from, to);
        let mut tables: Vec<&str> = Vec::new();
        for step in steps() {
            if let Step::CreateTable(name) = step
                && !tables.contains(&name.as_str())
            {
                tables.push(name);
            }
        }
        let mut columns: Vec<(&str, Vec<&str>)> = Vec::new();
        for step in steps() {
            let Step::AddColumns(table, added) = step else {
                continue;
            };
            if tables.contains(&table.as_str()) {
                continue;
            }
            let place = match columns.iter().position(|(name, _)| name == table) {
                Some(place) => place,
                None => {
                    columns.push((table, Vec::new()));
                    columns.len() - 1
                }
            };
            for column in added {
                if !columns[place].1.contains(&column.as_str()) {
                    columns[place].1.push(column);
                }
            }
        }
        let columns: Vec<Json> = columns
            .into_iter()
            .map(|(table, columns)| json!({"table": table, "columns": columns}))
            .collect();
        json!({"from": from, "tables": tables, "columns": columns})
    }
}

impl Migration {
    fn parse(json: &Json) -> Result<Self, String> {
        let members = json
            .as_object()
            .ok_or(" must be an object {\"toVersion\":…,\"steps\":[…]}")?;
        if let Some(other) = members
            .keys()
            .find(|key| !matches!(key.as_str(), "toVersion" | "steps"))
        {
            return Err(format!(
                " has the unknown key {}; known are toVersion, steps",
                quoted(other)
            ));
        }
        let to = json["toVersion"]
            .as_i64()
            .filter(|to| *to >= 2)
            .ok_or(".toVersion must be an integer, 2 or more")?;
        let steps = json["steps"].as_array().ok_or(".steps must be a list")?;
        let steps = steps
            .iter()
            .enumerate()
            .map(|(number, step)| {
                Step::parse(step).map_err(|problem| format!(".steps[{number}]{problem}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { to, steps })
    }
}

impl Step {
    fn parse(json: &Json) -> Result<Self, String> {
        let name = |key: &str| {
            json[key]
                .as_str()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| format!(".{key} must be a name"))
        };
        match json["type"].as_str() {
            Some("create_table") => Ok(Self::CreateTable(name("name")?)),
            Some("add_columns") => {
                let columns = json["columns"].as_array().filter(|list| !list.is_empty());
                let columns = columns.ok_or(".columns must be a list of names")?;
                let columns = columns
                    .iter()
                    .map(|column| {
                        // Programs that have full definitions may pass them.
                        let column = column.get("name").unwrap_or(column);
                        column.as_str().map(str::to_owned)
                    })
                    .collect::<Option<Vec<_>>>()
                    .ok_or(".columns must be a list of names")?;
                Ok(Self::AddColumns(name("table")?, columns))
            }
            Some("sql") => Ok(Self::Sql),
            Some(other) => Err(format!(
                ".type is {}, which can't be sent to a backend; known are create_table, add_columns, sql",
                quoted(other)
            )),
            None => Err(".type is missing; give create_table, add_columns or sql".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions 8 to 10.
    fn migrations() -> Json {
        json!([
            {"toVersion": 10, "steps": [{"type": "add_columns", "table": "x", "columns": ["c2", "c3"]}]},
            {"toVersion": 9, "steps": [
                {"type": "add_columns", "table": "x", "columns": [{"name": "c1", "type": "string"}, "c2"]},
                {"type": "create_table", "name": "z"}, {"type": "create_table", "name": "z"},
                {"type": "sql", "sql": "CREATE INDEX …"}]},
            {"toVersion": 8, "steps": [{"type": "add_columns", "table": "z", "columns": ["old"]},
                {"type": "add_columns", "table": "y", "columns": ["c"]}]},
        ])
    }

    fn declared(enabled_at: i64) -> Policy {
        Policy::parse(Some(&migrations()), Some(enabled_at)).unwrap()
    }

    fn entity<'a>(last: Option<&'a LastSchema>, columns: &[&'a str]) -> Present<'a> {
        Present {
            name: "x",
            columns: columns.to_vec(),
            last,
        }
    }

    fn notice(policy: &Policy, last: Option<i64>) -> Notice {
        let last = LastSchema {
            version: last,
            columns: None,
        };
        policy.notice(10, &[entity(Some(&last), &[])], &[0])
    }

    #[test]
    fn the_rows_of_the_table() {
        assert_eq!(Notice::at_first().migration, None);
        assert!(Notice::at_first().store);
        for last in [None, Some(9), Some(10), Some(11)] {
            assert_eq!(notice(&Policy::Never, last), Notice::default());
        }
        assert_eq!(notice(&declared(9), Some(10)), Notice::default());
        assert_eq!(notice(&declared(10), None), Notice::default());
        let from_9 =
            json!({"from": 9, "tables": [], "columns": [{"table": "x", "columns": ["c2", "c3"]}]});
        for (enabled_at, last, warns) in [
            (9, Some(9), false),
            (7, Some(9), false),
            (9, None, true),
            (10, Some(9), false),
        ] {
            let notice = notice(&declared(enabled_at), last);
            assert_eq!(
                notice.migration,
                Some(from_9.clone()),
                "{enabled_at} {last:?}"
            );
            assert!(notice.store && notice.warning.is_some() == warns);
        }
    }

    #[test]
    fn what_is_checked_before_any_request() {
        for (enabled_at, current, last, said) in [
            (9, 10, Some(11), "version 11"),
            (10, 9, None, "migrationsEnabledAtVersion is 10"),
            (10, 9, Some(9), "migrationsEnabledAtVersion is 10"),
            (9, 11, Some(9), "from 9 to 11"),
            (9, 10, Some(6), "from 6 to 10"),
        ] {
            let refusal = declared(enabled_at).check(current, &[Some(current.min(9)), last]);
            assert!(
                refusal.as_ref().is_err_and(|text| text.contains(said)),
                "{refusal:?}"
            );
        }
        assert_eq!(declared(9).check(10, &[Some(9), None, Some(10)]), Ok(()));
        // Nothing to send, nothing to cover.
        assert_eq!(declared(9).check(11, &[Some(11)]), Ok(()));
        assert_eq!(declared(9).check(11, &[]), Ok(()));
        assert_eq!(Policy::Never.check(1, &[Some(5)]), Ok(()));
        assert_eq!(Policy::Auto.check(1, &[Some(5)]), Ok(()));
    }

    #[test]
    fn tables_once_and_columns_of_others_by_table() {
        assert_eq!(
            notice(&declared(7), Some(7)).migration,
            Some(json!({"from": 7, "tables": ["z"], "columns": [
                {"table": "y", "columns": ["c"]}, {"table": "x", "columns": ["c1", "c2", "c3"]}]}))
        );
    }

    #[test]
    fn the_lowest_version_of_the_entities_pulled_counts() {
        let [nine, ten] = [9, 10].map(|version| LastSchema {
            version: Some(version),
            columns: None,
        });
        let entities = [entity(Some(&nine), &[]), entity(Some(&ten), &[])];
        let from = |pulled: &[usize]| {
            let notice = declared(8).notice(10, &entities, pulled);
            notice.migration.map(|json| json["from"].clone())
        };
        assert_eq!(from(&[0, 1]), Some(json!(9)));
        assert_eq!(from(&[1]), None);
    }

    #[test]
    fn the_difference_to_the_last_sync_by_itself() {
        let last = |columns: &[&str]| LastSchema {
            version: Some(3),
            columns: Some(columns.iter().map(|name| (*name).to_owned()).collect()),
        };
        let (same, less) = (last(&["a", "b"]), last(&["a", "gone"]));
        let notice_of =
            |entities: &[Present<'_>], pulled: &[usize]| Policy::Auto.notice(4, entities, pulled);
        assert_eq!(
            notice_of(&[entity(Some(&same), &["a", "b"])], &[0]),
            Notice::default()
        );
        let notice = notice_of(
            &[entity(Some(&less), &["a", "b"]), entity(None, &["q"])],
            &[0],
        );
        assert_eq!(
            notice.migration,
            Some(
                json!({"from": 3, "tables": ["x"], "columns": [{"table": "x", "columns": ["b"]}]})
            )
        );
        assert!(notice.store);
        let notice = notice_of(&[entity(Some(&less), &["a"])], &[0]);
        assert!(notice.migration.is_none() && notice.store, "one has gone");
        // Columns that nobody has recorded are recorded now.
        let notice = notice_of(&[entity(Some(&LastSchema::default()), &["a"])], &[0]);
        assert!(notice.migration.is_none() && notice.store);
    }

    #[test]
    fn what_is_refused() {
        let step = |step: Json| json!([{"toVersion": 2, "steps": [step]}]);
        for (list, enabled_at, said) in [
            (None, Some(1), "no migrations"),
            (Some(json!([])), Some(1), "no migrations"),
            (Some(migrations()), Some(6), "begin at version 7"),
            (Some(json!("auto")), Some(1), "auto"),
            (Some(json!("automatic")), None, "migrations must be"),
            (Some(json!({})), None, "migrations must be"),
            (Some(json!([5])), None, "migrations[0] must be an object"),
            (
                Some(json!([{"steps": []}])),
                None,
                "migrations[0].toVersion",
            ),
            (
                Some(json!([{"toVersion": 1, "steps": []}])),
                None,
                "migrations[0].toVersion",
            ),
            (
                Some(json!([{"toVersion": 2.5, "steps": []}])),
                None,
                "migrations[0].toVersion",
            ),
            (Some(json!([{"toVersion": 2}])), None, "migrations[0].steps"),
            (
                Some(json!([{"toVersion": 2, "steps": [], "x": 1}])),
                None,
                "\"x\"",
            ),
            (
                Some(json!([{"toVersion": 2, "steps": []}, {"toVersion": 4, "steps": []}])),
                None,
                "version 3",
            ),
            (
                Some(json!([{"toVersion": 2, "steps": []}, {"toVersion": 2, "steps": []}])),
                None,
                "twice",
            ),
            (
                Some(step(json!({"type": "destroy_table"}))),
                None,
                "steps[0].type is \"destroy_table\"",
            ),
            (Some(step(json!({}))), None, "steps[0].type is missing"),
            (
                Some(step(json!({"type": "create_table"}))),
                None,
                "steps[0].name",
            ),
            (
                Some(step(json!({"type": "add_columns", "table": "t"}))),
                None,
                "steps[0].columns",
            ),
            (
                Some(step(
                    json!({"type": "add_columns", "table": "t", "columns": [5]}),
                )),
                None,
                "steps[0].columns",
            ),
            (
                Some(step(json!({"type": "add_columns", "columns": ["c"]}))),
                None,
                "steps[0].table",
            ),
        ] {
            let refusal = Policy::parse(list.as_ref(), enabled_at);
            assert!(
                refusal.as_ref().is_err_and(|text| text.contains(said)),
                "{list:?}: {refusal:?}"
            );
        }
    }
}
