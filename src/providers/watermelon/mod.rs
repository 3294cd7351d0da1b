//! The WatermelonDB sync protocol: pull, then push, with per-column client-wins on conflicts.
//!
//! | step | request, unless the configuration says otherwise |
//! |---|---|
//! | pull | `GET url?last_pulled_at=…&schema_version=…&migration=…[&tables=…]` |
//! | push | `POST url?last_pulled_at=…`, body `{table:{created,updated,deleted}}` |
//!
//! The rules come from WatermelonDB's documentation and from running its client (0.28).
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the provider |
//! | `conversation` | one run: what is due, what an answer changes |
//! | `keys`, `preset`, `options` | the configuration: its keys, well-known shapes of backends, how it is used |
//! | `cursors` | what is pulled together, and from where |
//! | `migration` | reporting changes in the schema to the backend |
//! | `pull`, `push`, `row`, `answer` | answers, bodies, rows |

mod answer;
mod conversation;
mod cursors;
mod keys;
mod migration;
mod oddities;
mod options;
mod preset;
mod pull;
mod push;
mod row;
mod strategy;

use serde_json::Value as Json;

use super::conversation::{
    ApplyRules, Conversation, Goal, Known, LastSchema, Manners, Provider, Refusal, RowToSend,
};
use super::kind::{Kind, Settings, Transport};
use super::wire::Entity;
use super::{http_keys, table_keys};
use crate::ground::quoted;

use conversation::Talk;

pub use options::Options;

pub static KIND: Kind = Kind {
    name: "watermelon",
    transport: Transport::Http,
    keys: &[
        http_keys::KEYS,
        table_keys::KEYS,
        table_keys::BY_CONTENT,
        keys::KEYS,
    ],
    fill: preset::fill,
    check: options::check,
    functions: None,
    open: Some(|settings, _| Ok(Box::new(Watermelon::open(settings)?))),
};

/// Pulls after which the backend has shown what it made of a push: the one that follows it may have begun
/// before the push arrived.
const JOURNAL_PULLS: i64 = 2;

/// Names with a meaning of their own in rows on the wire.
const RESERVED: &[&str] = &["id", "_status", "_changed"];

/// A WatermelonDB backend.
pub struct Watermelon {
    options: Options,
    manners: Manners,
}

impl Watermelon {
    /// # Errors
    /// A configuration that `sync_provider` would not take.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let options = Options::resolve(settings)?;
        Ok(Self {
            manners: Manners {
                batch: settings.number("pushBatch"),
                journal_pulls: JOURNAL_PULLS,
                cursors_grow: !options.opaque,
                apply: ApplyRules {
                    created_as_updated: settings.flag("sendCreatedAsUpdated"),
                    missing_is_default: true,
                    ..table_keys::apply_rules(settings)
                },
                ..Manners::default()
            },
            options,
        })
    }
}

impl Provider for Watermelon {
    fn manners(&self) -> &Manners {
        &self.manners
    }

    fn admit(&self, entity: &Entity) -> Result<(), String> {
        let mut columns = entity.columns.iter();
        match columns.find(|column| RESERVED.contains(&column.name.as_str())) {
            None => Ok(()),
            Some(column) => Err(format!(
                "column {} of {} has a name that the protocol reserves; leave it out with excludeColumns",
                quoted(&column.name),
                quoted(&entity.name)
            )),
        }
    }

    fn encode(
        &self,
        entity: &Entity,
        row: &RowToSend<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        push::write_row(&self.options, entity, row, out)
    }

    fn tells_of(&self, entity: &Entity, column: &str, last: &LastSchema, current: i64) -> bool {
        let current = self.options.schema_version.unwrap_or(current);
        let migrations = &self.options.migrations;
        migrations.tells_of((&entity.name, column), last, current)
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        let bulk = is_bulk(&known)?;
        let talk = Talk::begin(self.options.clone(), goal, known, bulk)?;
        Ok(Box::new(talk))
    }
}

/// Whether the call asks for a bulk load, which only a first pull can be.
fn is_bulk(known: &Known) -> Result<bool, Refusal> {
    if known.options.get("turbo") != Some(&Json::Bool(true)) {
        return Ok(false);
    }
    let mut entities = known.entities.iter();
    match entities.find(|known| known.cursor.is_some() || known.before.is_some()) {
        None => Ok(true),
        Some(known) => Err(Refusal::Call(format!(
            "turbo is for a first sync, and {} was pulled before; leave turbo out",
            quoted(&known.entity.name)
        ))),
    }
}
