//! Any API that gives out JSON over HTTP: functions say how rows are asked for.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the provider |
//! | `keys`, `function` | the keys of the provider and of functions; a function, checked |
//! | `parent` | functions that are asked for each row of another table |
//! | `mode` | which rows a reading replaces |
//! | `options`, `given` | what a provider is configured to; reading the parts of a definition |
//! | `template`, `request` | requests with places in them |
//! | `path` | ways into a JSON text |
//! | `paging`, `incremental` | how one page follows another; reading only what is new |
//! | `answer`, `page`, `rows` | walking an answer; one page of it; what a table gets of a row |
//! | `reading`, `reader` | how far an operation is; reading operations page by page |
//! | `write`, `sending` | the request of one change; sending what waits |
//! | `conversation` | one run |
//! | `import/` | functions from OpenAPI documents and Postman collections |

mod answer;
mod conversation;
mod function;
mod given;
mod import;
mod incremental;
mod keys;
mod mode;
mod options;
mod page;
mod paging;
mod parent;
mod path;
mod reader;
mod reading;
mod request;
mod rows;
mod sending;
mod template;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Map;

use super::conversation::{
    ApplyRules, Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend,
};
use super::kind::{Functions, Kind, Settings, Stored, Transport};
use super::wire::Entity;
use super::{http_keys, table_keys};
use crate::ground::quoted;

pub use keys::FUNCTION as FUNCTION_KEYS;

use conversation::Talk;
use function::{Function, Writes};
use options::Options;

pub static KIND: Kind = Kind {
    name: "rest",
    transport: Transport::Http,
    keys: &[
        http_keys::KEYS,
        table_keys::KEYS,
        table_keys::BY_CONTENT,
        keys::PROVIDER,
    ],
    fill: |_| Map::new(),
    check: |_| Ok(()),
    functions: Some(Functions {
        keys: keys::FUNCTION,
        check: |given| Function::read("", given).map(drop),
        sql: |given| match Function::read("", given) {
            Ok(function) => function.sql(),
            Err(_) => Vec::new(),
        },
        import: import::import,
    }),
    open: Some(|settings, stored| Ok(Box::new(Rest::open(settings, stored)?))),
};

/// A backend that functions describe.
pub struct Rest {
    options: Arc<Options>,
    manners: Manners,
    /// Where changes of the entities of the last conversation go, by their names.
    writers: Mutex<HashMap<String, Writes>>,
}

impl Rest {
    fn writes(&self, entity: &Entity) -> Option<Writes> {
        self.writers.lock().get(&entity.name).cloned()
    }

    fn open(settings: &Settings, stored: &Stored) -> Result<Self, String> {
        let functions = stored.functions.iter().map(|(id, given)| {
            let read = Function::read(id, given);
            read.map(Arc::new)
                .map_err(|problem| format!("function {}: {problem}", quoted(id)))
        });
        Ok(Self {
            options: Arc::new(Options {
                url: settings.text("url").to_owned(),
                headers: settings
                    .texts("headers")
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                functions: functions.collect::<Result<_, _>>()?,
                pull_first: settings.text("order") == "pull-first",
            }),
            writers: Mutex::default(),
            manners: Manners {
                batch: 1,
                one_by_one: true,
                numbered: true,
                resends: true,
                journal_pulls: 2,
                functions: true,
                documents: true,
                apply: ApplyRules {
                    created_as_updated: true,
                    asks_for_deletes: true,
                    ..table_keys::apply_rules(settings)
                },
                ..Manners::default()
            },
        })
    }
}

impl Provider for Rest {
    fn manners(&self) -> &Manners {
        &self.manners
    }

    fn admit(&self, _: &Entity) -> Result<(), String> {
        Ok(())
    }

    fn encode(
        &self,
        entity: &Entity,
        row: &RowToSend<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if let Some(writes) = self.writes(entity) {
            write::function(&self.options, &writes, row.kind)?;
        }
        write::encode(entity, row, out)
    }

    fn sends(&self, entity: &Entity) -> bool {
        self.writes(entity).is_some()
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        let talk = Talk::begin(Arc::clone(&self.options), goal, known)?;
        *self.writers.lock() = talk.writes();
        Ok(Box::new(talk))
    }
}
