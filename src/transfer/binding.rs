//! Which table keeps an entity, and which of its columns travel.

use serde_json::Value as Json;

use crate::capture::names::new_name;
use crate::capture::shared::Counting;
use crate::capture::tracked::{ColumnType, captured_table, registration};
use crate::capture::{Pending, Tracked};
use crate::ground::{Affinity, SyncError, quoted};
use crate::providers::Settings;
use crate::providers::conversation::{ApplyRules, Provider};
use crate::providers::wire::{
    Entity, Holds, KeyType, Uuid, UuidForm, WireColumn, WireId, WireType,
};
use crate::store::{Database, Error, Result, Value, quote_name};

/// An entity of a run and its table.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Name on the wire and in `_syncStatus`.
    pub entity: String,
    pub table: Tracked,
    /// Positions in the table of the columns that travel, the key left out; the order of
    /// [`Entity::columns`].
    pub columns: Vec<usize>,
    /// Places of columns of which no pull has brought what the server has, though the entity was pulled.
    pub awaited: Vec<usize>,
    pub wire: Entity,
    pub rules: ApplyRules,
    /// The SQL condition on the rows that a replacement is about.
    pub replacement_where: Option<String>,
    /// The place of a column that says when a row came: a row that is the same but for it stays as it is.
    pub stamp: Option<usize>,
    /// What a row made here does when a row of the server has its UNIQUE values.
    pub on_clash: OnClash,
    /// Whether a row of another device may have the key of one made here.
    pub counting: Counting,
    /// `"schema"."table"`, quoted.
    pub qualified: String,
}

/// What a row made here does when a row of the server has its UNIQUE values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnClash {
    /// It stays, and the server's row is held.
    #[default]
    Hold,
    /// It becomes the server's row, and stays pending.
    Adopt,
    /// The server's row takes its place.
    ServerWins,
}

impl OnClash {
    fn named(name: Option<&str>) -> Self {
        match name {
            Some("adopt") => Self::Adopt,
            Some("serverWins") => Self::ServerWins,
            _ => Self::Hold,
        }
    }
}

impl Binding {
    /// Finds the table of an entity.
    ///
    /// # Errors
    /// Not tracked, dropped, or with a key the protocol can't carry.
    pub fn resolve(
        database: &Database,
        settings: &Settings,
        kind: &dyn Provider,
        entity: &str,
    ) -> Result<Self> {
        let name = table_of(settings, entity);
        let table = Tracked::open(database, name)?;
        let blobs = kind.manners().blob_keys;
        let key_type = key_type(&table, blobs)?;
        let unknown = excluded(settings, &table.shape.name)
            .find(|column| table.shape.position(column).is_none());
        if let Some(unknown) = unknown {
            return Err(Error::argument(format!(
                "excludeColumns names {}, which is no column of {}; correct it with sync_provider",
                quoted(unknown),
                quote_name(&table.shape.name)
            )));
        }
        let columns = travelling(&table, Some(settings));
        let references = References::of(database, &table)?;
        let mut wire = Entity {
            name: entity.to_owned(),
            columns: wire_columns(&table, &columns),
            key: table.shape.keys()[0].name.clone(),
            references: references.places(&table, &columns),
            key_type,
        };
        let forms = uuid_forms(settings, &table)?;
        for (column, position) in wire.columns.iter_mut().zip(&columns) {
            let refers = blobs && references.is_to_blobs(&table, *position);
            if let Some(there) = forms.of(column).or(refers.then_some(UuidForm::Text)) {
                let here = match column.holds.affinity {
                    Affinity::None => UuidForm::Bytes,
                    _ => UuidForm::Text,
                };
                column.kind = WireType::Uuid(Uuid { here, there });
            }
        }
        kind.admit(&wire).map_err(Error::argument)?;
        let qualified = database.qualified(&table.shape.name);
        let counting = Counting::of(database, &table)?;
        let stamp = wire.stamp().filter(|_| kind.manners().documents);
        Ok(Self {
            counting,
            stamp,
            entity: entity.to_owned(),
            table,
            columns,
            awaited: Vec::new(),
            wire,
            rules: kind.manners().apply.clone(),
            replacement_where: of_entity(settings, "replacementWhere", entity).map(str::to_owned),
            on_clash: OnClash::named(of_entity(settings, "onClash", entity)),
            qualified,
        })
    }

    /// Makes sure that the table is still the one this run began with, and that the same is synced of it.
    ///
    /// # Errors
    /// It was altered, renamed, dropped or untracked in the meantime, or tracked with other options; SQLite's.
    pub fn require_unchanged(&self, database: &Database) -> Result<(), SyncError> {
        let shape = &self.table.shape;
        let unchanged = database.query_value(
            // likely(): as with cursors.
            "SELECT m.sql FROM main.sqlite_master AS m JOIN main._syncTable AS k ON k.name = m.name \
             WHERE m.type = 'table' AND m.name = ?1 AND likely(k.id = ?2) AND likely(k.generation = ?3) \
             AND k.captureOff IS NULL",
            &[
                shape.name.as_str().into(),
                self.table.id.into(),
                self.table.generation.into(),
            ],
        )?;
        // One that was dropped and made again looks the same, but has lost its triggers.
        let captured = captured_table(database, self.table.id)?;
        let is_it = unchanged.as_str() == Some(shape.definition.as_str())
            && captured.as_deref() == Some(shape.name.as_str());
        let what = match is_it {
            true if self
                .table
                .has_options_of(registration(database, &shape.name)?.as_ref()) =>
            {
                return Ok(());
            }
            true => "got other options of sync_track",
            false => "was altered or made again",
        };
        Err(SyncError::concurrent(format!(
            "table {} {what} while the sync was running; sync again",
            quoted(&shape.name)
        )))
    }

    /// Whether a row of another device may have the key of one made here, and be another one.
    pub fn is_counted(&self) -> bool {
        self.counting != Counting::Not
    }

    /// Whether all that would be sent of a row of the server was pulled, or edited here.
    pub fn knows_what_is_sent_of(&self, row: &Pending) -> bool {
        let mut awaited = self.awaited.iter();
        awaited.all(|place| row.changed(self.columns[*place]))
    }

    /// The key's column, quoted.
    pub fn key_name(&self) -> String {
        quote_name(&self.table.shape.keys()[0].name)
    }

    /// An id of the wire, whatever its form there.
    pub fn wire_key(&self, id: &WireId<'_>) -> Option<Value> {
        match id {
            WireId::Integer(number) if self.wire.key_type == KeyType::Integer => {
                Some(Value::Integer(*number))
            }
            WireId::Integer(number) => self.key(&number.to_string()),
            WireId::Text(text) => self.key(text),
            WireId::Broken(_) => None,
        }
    }

    /// An id of the wire as the key it stands for; none when it can't be one.
    pub fn key(&self, id: &str) -> Option<Value> {
        self.wire.key_of(id)
    }
}

/// The name of the table that keeps an entity.
pub fn table_of<'a>(settings: &'a Settings, entity: &'a str) -> &'a str {
    of_entity(settings, "tableMap", entity).unwrap_or(entity)
}

/// The columns of a table that a configuration leaves out.
fn excluded<'s>(settings: &'s Settings, table: &str) -> impl Iterator<Item = &'s str> {
    let tables = settings.map("excludeColumns");
    tables
        .filter(move |(name, _)| name.eq_ignore_ascii_case(table))
        .flat_map(|(_, columns)| columns.as_array().into_iter().flatten())
        .filter_map(Json::as_str)
}

/// Positions of a table's columns that are synced, by `sync_track` and the configuration of its provider. The
/// key is left out: it travels as the name of the row.
pub fn travelling(table: &Tracked, settings: Option<&Settings>) -> Vec<usize> {
    let shape = &table.shape;
    let excluded: Vec<&str> = settings
        .into_iter()
        .flat_map(|settings| excluded(settings, &shape.name))
        .collect();
    let mut columns = table.synced_columns();
    columns.retain(|position| {
        let column = &shape.columns[*position];
        // A column renamed a moment ago goes by its old name, and by the new one if that was not another's.
        let renamed = &table.columns.renamed;
        let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let is_excluded = |name: &&str| {
            let was_so = renamed
                .iter()
                .any(|(old, new)| is(old, name) && is(new, &column.name));
            let is_taken = renamed.iter().any(|(old, _)| is(old, name));
            was_so || (is(name, &column.name) && !is_taken)
        };
        column.key_place == 0 && !excluded.iter().any(is_excluded)
    });
    columns
}

/// What a key of the configuration says of an entity.
fn of_entity<'a>(settings: &'a Settings, key: &str, entity: &str) -> Option<&'a str> {
    let exact = settings.texts(key).find(|(name, _)| *name == entity);
    let mut like = settings.texts(key);
    let found = exact.or_else(|| like.find(|(name, _)| name.eq_ignore_ascii_case(entity)));
    found.map(|(_, text)| text)
}

/// An entity as it is declared: in `tableMap`, or by its table's own name. What is neither stays as it is written.
///
/// # Errors
/// SQLite's.
pub fn declared(database: &Database, settings: &Settings, entity: &str) -> Result<String> {
    let mapped = || settings.texts("tableMap").map(|(name, _)| name);
    let known = mapped()
        .find(|name| *name == entity)
        .or_else(|| mapped().find(|name| name.eq_ignore_ascii_case(entity)));
    if let Some(name) = known {
        return Ok(name.to_owned());
    }
    let table = registration(database, entity)?;
    Ok(table.map_or_else(|| entity.to_owned(), |table| table.name))
}

/// What the key of a table holds. `blobs`: the protocol has keys that are blobs of 16 bytes.
///
/// # Errors
/// A key that can't be carried.
pub fn key_type(table: &Tracked, blobs: bool) -> Result<KeyType> {
    let name = quote_name(&table.shape.name);
    let keys = table.shape.keys();
    let others = match blobs {
        true => "TEXT, or BLOB for UUIDs of 16 bytes",
        false => "TEXT or INTEGER",
    };
    let [key] = keys.as_slice() else {
        let names: Vec<String> = keys.iter().map(|key| quote_name(&key.name)).collect();
        return Err(Error::argument(format!(
            "{name} has a key of {} columns ({}), which this protocol can't carry; give it a single one that is declared \
             {others}",
            keys.len(),
            names.join(", ")
        )));
    };
    let column = quote_name(&key.name);
    let refused = |what: &str| {
        Err(Error::argument(format!(
            "the key {column} of {name} is {what}, which this protocol can't carry; declare it {others}"
        )))
    };
    let key_type = match Affinity::of(&key.declared, table.shape.strict) {
        Affinity::Integer => KeyType::Integer,
        Affinity::Text => KeyType::Text,
        Affinity::None if key.declared.contains("BLOB") && blobs => KeyType::Uuid,
        Affinity::None if key.declared.contains("BLOB") => return refused("a blob"),
        Affinity::None => KeyType::Text,
        // An id must come back from the table as it went in, or edits of its row would not be recognised.
        Affinity::Real | Affinity::Numeric => {
            return refused("of a type that SQLite turns into numbers where it can");
        }
    };
    let mut typed = table.options.types.keys();
    if typed.any(|typed| typed.eq_ignore_ascii_case(&key.name)) {
        return Err(Error::argument(format!(
            "sync_track gave a type to the key {column} of {name}; a key travels as it is declared, leave it \
             out of types"
        )));
    }
    Ok(key_type)
}

/// Columns of a table as they travel.
pub fn wire_columns(table: &Tracked, columns: &[usize]) -> Vec<WireColumn> {
    let columns = columns.iter();
    columns
        .map(|position| wire_column(table, *position))
        .collect()
}

/// The columns that refer to other rows, each with whether those have blobs as their keys.
struct References(Vec<(String, bool)>);

impl References {
    fn of(database: &Database, table: &Tracked) -> Result<Self> {
        let columns = database.query_all(
            "SELECT k.\"from\", EXISTS (SELECT 1 FROM pragma_table_info(k.\"table\", ?2) AS c \
             WHERE c.pk > 0 AND c.name = coalesce(k.\"to\", c.name) COLLATE NOCASE AND c.type LIKE '%BLOB%') \
             FROM pragma_foreign_key_list(?1, ?2) AS k",
            &[
                table.shape.name.as_str().into(),
                database.schema().into(),
            ],
            |row| Ok((row.text(0), row.integer(1) != 0)),
        )?;
        Ok(Self(columns))
    }

    /// Places of those that travel.
    fn places(&self, table: &Tracked, columns: &[usize]) -> Vec<usize> {
        let is_reference = |position: &usize| {
            let column = &table.shape.columns[*position].name;
            self.0
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(column))
        };
        let places = columns.iter().enumerate();
        places
            .filter(|(_, position)| is_reference(position))
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether a column of which nobody has said otherwise holds such keys.
    fn is_to_blobs(&self, table: &Tracked, position: usize) -> bool {
        let column = &table.shape.columns[position];
        let is = |name: &str| name.eq_ignore_ascii_case(&column.name);
        let holds_any = Affinity::of(&column.declared, table.shape.strict) == Affinity::None;
        let is_typed = table.options.types.keys().any(|typed| is(typed));
        holds_any && !is_typed && self.0.iter().any(|(name, blobs)| is(name) && *blobs)
    }
}

/// What a configuration says of the columns of a table that hold UUIDs: how they travel.
struct UuidForms(Vec<(String, UuidForm)>);

impl UuidForms {
    fn of(&self, column: &WireColumn) -> Option<UuidForm> {
        let mut named = self.0.iter();
        let found = named.find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
        found.map(|(_, form)| *form)
    }
}

fn uuid_forms(settings: &Settings, table: &Tracked) -> Result<UuidForms> {
    let shape = &table.shape;
    let tables = settings.map("uuidColumns");
    let named = tables
        .filter(|(name, _)| name.eq_ignore_ascii_case(&shape.name))
        .flat_map(|(_, columns)| columns.as_object().into_iter().flatten());
    let mut forms = Vec::new();
    for (column, form) in named {
        // A column renamed a moment ago goes by its old name.
        let column = new_name(&table.columns.renamed, column).unwrap_or(column);
        if shape.position(column).is_none() {
            return Err(Error::argument(format!(
                "uuidColumns names {}, which is no column of {}; correct it with sync_provider",
                quoted(column),
                quote_name(&shape.name)
            )));
        }
        let form = match form.as_str() {
            Some("base64") => UuidForm::Bytes,
            _ => UuidForm::Text,
        };
        forms.push((column.to_owned(), form));
    }
    Ok(UuidForms(forms))
}

/// A column of a table as it travels.
pub fn wire_column(table: &Tracked, position: usize) -> WireColumn {
    let column = &table.shape.columns[position];
    let kind = match table.column_type(position) {
        ColumnType::String => WireType::String,
        ColumnType::Number => WireType::Number,
        ColumnType::Boolean => WireType::Boolean,
        ColumnType::Base64 => WireType::Base64,
        ColumnType::Json => WireType::Json,
        ColumnType::Any => WireType::Any,
    };
    WireColumn {
        name: column.name.clone(),
        kind,
        required: column.not_null,
        holds: Holds::of(&column.declared, table.shape.strict),
    }
}
