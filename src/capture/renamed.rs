//! A renamed column or table takes along what is said of it elsewhere: in the configurations of providers (by the list
//! in `names.rs`), by resolvers, cursors and held rows. What names it in other ways (`_syncTable.options`,
//! `_syncAside`) follows in `reshape.rs`.

use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use crate::ground::read_members;
use crate::store::{Database, Result, ValueRef};

use super::names::{CONFIGURED, Named, Renamed, is_column, new_name};
use super::tracked::{Registration, Tracked};

/// A table that has a new name.
#[derive(Clone)]
pub(super) struct Move {
    pub id: i64,
    pub names: Renamed,
}

/// Follows tables that were renamed, all at once: two may have swapped their names.
///
/// # Errors
/// SQLite's.
pub(super) fn follow_tables(database: &Database, moves: &[Move]) -> Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let renamed: Vec<Renamed> = moves.iter().map(|moved| moved.names.clone()).collect();
    let configs = Config::all(database)?;
    for config in &configs {
        let mut members = config.members.clone();
        for (key, named) in CONFIGURED {
            let Some(value) = members.get_mut(*key) else {
                continue;
            };
            match named {
                Named::TableByEntity => rename_values(value, &renamed),
                Named::ColumnsByTable | Named::OfColumnsByTable => rename_keys(value, &renamed),
                Named::ByEntity => rename_keys(value, &config.entities(&renamed)),
                Named::Columns => {}
            }
        }
        config.store(database, members)?;
    }
    for moved in moves {
        follow_entity(database, &configs, moved)?;
    }
    database.execute(
        "UPDATE OR REPLACE main._syncCursor SET entity = substr(entity, 2) WHERE entity LIKE ?1",
        &[format!("{STAGED}%").as_str().into()],
    )?;
    let resolved: Vec<Renamed> = renamed
        .into_iter()
        .filter(|(old, _)| configs.iter().all(|config| !config.maps(old)))
        .collect();
    rename_resolvers(database, &resolved)
}

/// Before a name that is to take the place of another one, which may be still in use. No entity begins like that.
const STAGED: &str = "\u{1}";

/// An entity that goes by its table's name has a new one, with its cursor and what is held of it.
fn follow_entity(database: &Database, configs: &[Config], moved: &Move) -> Result<()> {
    let (old, new) = (moved.names.0.as_str(), moved.names.1.as_str());
    let staged = format!("{STAGED}{new}");
    for config in configs.iter().filter(|config| !config.maps(old)) {
        let at = |name| -> [ValueRef<'_>; 4] {
            [
                config.id.as_str().into(),
                moved.id.into(),
                old.into(),
                ValueRef::Text(name),
            ]
        };
        database.execute(
            "UPDATE main._syncCursor SET entity = ?4 \
             WHERE provider = ?1 AND tableId = ?2 AND entity = ?3 COLLATE NOCASE",
            &at(&staged),
        )?;
        database.execute(
            "UPDATE main._syncHeld SET entity = ?4 \
             WHERE provider = ?1 AND tbl = ?2 AND entity = ?3 COLLATE NOCASE",
            &at(new),
        )?;
    }
    Ok(())
}

fn rename_resolvers(database: &Database, renamed: &[Renamed]) -> Result<()> {
    let resolvers = database.query_all(
        "SELECT entity, policy, argument FROM main._syncResolver",
        &[],
        |row| Ok((row.text(0), row.text(1), row.optional_text(2))),
    )?;
    let moved: Vec<_> = resolvers
        .iter()
        .filter_map(|resolver| Some((resolver, new_name(renamed, &resolver.0)?)))
        .collect();
    for ((old, ..), _) in &moved {
        database.execute(
            "DELETE FROM main._syncResolver WHERE entity = ?1",
            &[old.as_str().into()],
        )?;
    }
    for ((_, policy, argument), new) in moved {
        store_resolver(database, new, policy, argument.as_deref())?;
    }
    Ok(())
}

fn store_resolver(
    database: &Database,
    entity: &str,
    policy: &str,
    argument: Option<&str>,
) -> Result<()> {
    database.execute(
        "INSERT OR REPLACE INTO main._syncResolver (entity, policy, argument) VALUES (?1, ?2, ?3)",
        &[entity.into(), policy.into(), argument.into()],
    )?;
    Ok(())
}

/// Follows the columns of a table that were renamed since it was recorded. `known_as`: the name by which others speak of the
/// table.
///
/// # Errors
/// SQLite's.
pub(super) fn follow_columns(database: &Database, tracked: &Tracked, known_as: &str) -> Result<()> {
    let renamed = tracked.columns.renamed.as_slice();
    if renamed.is_empty() {
        return Ok(());
    }
    let table = tracked.shape.name.as_str();
    let configs = Config::all(database)?;
    for config in &configs {
        let mut members = config.members.clone();
        let others = tracked.provider.as_ref();
        let is_anothers = others.is_some_and(|provider| *provider != config.id);
        for (key, named) in CONFIGURED {
            match (named, members.get_mut(*key)) {
                (Named::ColumnsByTable, Some(Json::Object(tables))) => {
                    let lists = tables.iter_mut();
                    lists
                        .filter(|(name, _)| name.eq_ignore_ascii_case(known_as))
                        .for_each(|(_, list)| rename_values(list, renamed));
                }
                (Named::OfColumnsByTable, Some(Json::Object(tables))) => {
                    let columns = tables.iter_mut();
                    columns
                        .filter(|(name, _)| name.eq_ignore_ascii_case(known_as))
                        .for_each(|(_, columns)| rename_keys(columns, renamed));
                }
                (Named::Columns, Some(Json::Array(list))) if !is_anothers => {
                    *list = follow_list(database, table, list, renamed)?;
                }
                _ => {}
            }
        }
        config.store(database, members)?;
    }
    for (kept, column) in ROWS {
        follow_rows(database, (kept, column), tracked.id, renamed)?;
    }
    follow_resolvers(database, &configs, (table, known_as), renamed)
}

/// Where rows are kept as JSON objects by column, to be compared or stored later. Those of `_syncConflict` are a record
/// of what was.
const ROWS: &[(&str, &str)] = &[
    ("_syncOutbox", "content"),
    ("_syncRejected", "content"),
    ("_syncHeld", "content"),
    ("_syncHeld", "base"),
];

/// Rows that are read at a time.
const PAGE: i64 = 500;

fn follow_rows(
    database: &Database,
    (kept, column): (&str, &str),
    table: i64,
    renamed: &[Renamed],
) -> Result<()> {
    let read = format!(
        "SELECT id, {column} FROM main.{kept} WHERE tbl = ?1 AND id > ?2 AND {column} IS NOT NULL ORDER BY id LIMIT ?3"
    );
    let write = format!("UPDATE main.{kept} SET {column} = ?2 WHERE id = ?1");
    let mut last = 0;
    loop {
        let page = database.query_all(&read, &[table.into(), last.into(), PAGE.into()], |row| {
            Ok((row.integer(0), row.text(1)))
        })?;
        let Some((end, _)) = page.last() else {
            return Ok(());
        };
        last = *end;
        for (id, content) in page {
            if let Some(content) = with_names(&content, renamed) {
                database.execute(&write, &[id.into(), content.as_str().into()])?;
            }
        }
    }
}

/// A JSON object with its members renamed, their values letter by letter as they were.
fn with_names(object: &str, renamed: &[Renamed]) -> Option<String> {
    let members = read_members::<Box<RawValue>>(object, "").ok()?;
    let mut text = String::with_capacity(object.len());
    for (name, value) in members {
        let name = new_name(renamed, &name).map_or(name.as_str(), |new| new);
        text.push(if text.is_empty() { '{' } else { ',' });
        text.push_str(&Json::from(name).to_string());
        text.push(':');
        text.push_str(value.get());
    }
    (!text.is_empty()).then(|| text + "}")
}

/// A list of columns that is for all tables: where another table has a column of the old name too, both are listed.
fn follow_list(
    database: &Database,
    table: &str,
    list: &[Json],
    renamed: &[Renamed],
) -> Result<Vec<Json>> {
    let mut followed: Vec<Json> = Vec::with_capacity(list.len() + 1);
    for column in list {
        let old = column.as_str().unwrap_or_default();
        let new = new_name(renamed, old);
        if new.is_none() || is_column(database, old, Some(table))? {
            followed.push(column.clone());
        }
        followed.extend(new.map(Json::from));
    }
    followed.dedup();
    Ok(followed)
}

/// A resolver that compares a column. That of all entities goes on for the others.
fn follow_resolvers(
    database: &Database,
    configs: &[Config],
    (table, known_as): (&str, &str),
    renamed: &[Renamed],
) -> Result<()> {
    let entities = configs.iter().flat_map(|config| config.of(known_as));
    let mut entities: Vec<&str> = entities.collect();
    if configs.iter().all(|config| !config.maps(known_as)) {
        entities.push(known_as);
    }
    let resolvers = database.query_all(
        "SELECT entity, policy, argument FROM main._syncResolver",
        &[],
        |row| Ok((row.text(0), row.text(1), row.text(2))),
    )?;
    let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let has_own = |entity: &str| resolvers.iter().any(|(known, ..)| is(known, entity));
    for (entity, policy, column) in resolvers
        .iter()
        .filter(|(_, policy, _)| policy == "lastWriteWins")
    {
        let Some(new) = new_name(renamed, column) else {
            continue;
        };
        if entity != "*" {
            if entities.iter().any(|of| is(of, entity)) {
                store_resolver(database, entity, policy, Some(new))?;
            }
            continue;
        }
        match is_column(database, column, Some(table))? {
            false => store_resolver(database, entity, policy, Some(new))?,
            true => entities
                .iter()
                .filter(|of| !has_own(of))
                .try_for_each(|of| store_resolver(database, of, policy, Some(new)))?,
        }
    }
    Ok(())
}

/// All names that an entity can have: those that providers declare, and those of tables.
///
/// # Errors
/// SQLite's.
pub fn entities(database: &Database) -> Result<Vec<String>> {
    let mut names = database.query_all(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' \
         AND name NOT LIKE '\\_sync%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        &[],
        |row| Ok(row.text(0)),
    )?;
    for config in Config::all(database)? {
        names.extend(config.tables().map(|(entity, _)| entity.to_owned()));
    }
    Ok(names)
}

/// Columns of a table that the configuration of its provider leaves out, or of any as long as it has none.
///
/// # Errors
/// SQLite's.
pub(super) fn excluded_by_providers(
    database: &Database,
    registration: &Registration,
) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    for config in Config::all(database)? {
        let bound = registration.provider.as_ref();
        if bound.is_some_and(|provider| *provider != config.id) {
            continue;
        }
        let keys = CONFIGURED
            .iter()
            .filter(|(_, named)| *named == Named::ColumnsByTable);
        let tables = keys.filter_map(|(key, _)| config.members.get(*key)?.as_object());
        let lists = tables
            .flatten()
            .filter(|(table, _)| table.eq_ignore_ascii_case(&registration.name))
            .filter_map(|(_, list)| list.as_array());
        columns.extend(lists.flatten().filter_map(Json::as_str).map(str::to_owned));
    }
    Ok(columns)
}

/// The configuration of a provider.
struct Config {
    id: String,
    members: Map<String, Json>,
}

impl Config {
    /// All that can be read.
    fn all(database: &Database) -> Result<Vec<Self>> {
        let stored =
            database.query_all("SELECT id, config FROM main._syncProvider", &[], |row| {
                Ok((row.text(0), row.text(1)))
            })?;
        let parsed = stored.into_iter().filter_map(|(id, config)| {
            let members = serde_json::from_str(&config).ok()?;
            Some(Self { id, members })
        });
        Ok(parsed.collect())
    }

    fn store(&self, database: &Database, members: Map<String, Json>) -> Result<()> {
        if members == self.members {
            return Ok(());
        }
        let config = Json::Object(members).to_string();
        database.execute(
            "UPDATE main._syncProvider SET config = ?2 WHERE id = ?1",
            &[self.id.as_str().into(), config.as_str().into()],
        )?;
        Ok(())
    }

    /// Entities with their tables, where these have other names.
    fn tables(&self) -> impl Iterator<Item = (&str, &Json)> {
        let keys = CONFIGURED
            .iter()
            .filter(|(_, named)| *named == Named::TableByEntity);
        let objects = keys.filter_map(|(key, _)| self.members.get(*key)?.as_object());
        objects
            .flatten()
            .map(|(entity, table)| (entity.as_str(), table))
    }

    /// Whether an entity is declared, so that its name does not follow that of a table.
    fn maps(&self, entity: &str) -> bool {
        self.tables()
            .any(|(known, _)| known.eq_ignore_ascii_case(entity))
    }

    /// The declared entities of a table.
    fn of<'c>(&'c self, table: &'c str) -> impl Iterator<Item = &'c str> {
        let is_it = move |known: &Json| {
            known
                .as_str()
                .is_some_and(|known| known.eq_ignore_ascii_case(table))
        };
        self.tables()
            .filter(move |(_, known)| is_it(known))
            .map(|(entity, _)| entity)
    }

    /// Of some tables those whose entities go by their names.
    fn entities(&self, renamed: &[Renamed]) -> Vec<Renamed> {
        let renamed = renamed.iter();
        renamed
            .filter(|(old, _)| !self.maps(old))
            .cloned()
            .collect()
    }
}

/// Renames the texts of an object or a list.
fn rename_values(value: &mut Json, renamed: &[Renamed]) {
    let rename = |text: &mut Json| {
        if let Some(new) = text.as_str().and_then(|text| new_name(renamed, text)) {
            *text = new.into();
        }
    };
    match value {
        Json::Object(members) => members.values_mut().for_each(rename),
        Json::Array(list) => list.iter_mut().for_each(rename),
        _ => {}
    }
}

/// Renames the members of an object. Lists under what is one name now become one.
fn rename_keys(value: &mut Json, renamed: &[Renamed]) {
    let Json::Object(members) = value else { return };
    for (key, value) in std::mem::take(members) {
        let name = new_name(renamed, &key).map_or(key.clone(), str::to_owned);
        match (members.get_mut(&name), value) {
            (Some(Json::Array(known)), Json::Array(list)) => known.extend(list),
            (_, value) => drop(members.insert(name, value)),
        }
    }
}
