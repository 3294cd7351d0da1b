//! The protocols of oversync servers (SQLiteNow), of both generations.
//!
//! The rules come from recordings of running servers, see `tests/fixtures/oversync`.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the kind |
//! | `detect` | the first sync: which generation the server speaks |
//! | `a/`, `b/` | the two generations: changes of rows, and bundles of them |
//! | `keys`, `options` | the configuration: its keys, how it is used; the options of a call |
//! | `row`, `tables` | rows, tables and keys on the wire |
//! | `wire` | what both generations write and read in the same way |

mod a;
mod b;
mod detect;
mod keys;
mod options;
mod row;
mod tables;
mod wire;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::conversation::{Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend};
use super::kind::{Kind, Settings, Transport};
use super::wire::Entity;
use super::{http_keys, table_keys};
use crate::ground::quoted;

use a::Changes;
use b::Bundles;
use detect::Detect;
use options::Options;
use tables::is_name;

pub static KIND: Kind = Kind {
    name: "oversync",
    transport: Transport::Http,
    keys: &[http_keys::KEYS, table_keys::KEYS, keys::KEYS],
    fill: |_| Map::new(),
    check,
    functions: None,
    open: Some(|settings, stored| Ok(open(settings, &stored.memory))),
};

/// The provider of the generation that the server speaks, or the one that asks.
fn open(settings: &Settings, memory: &Json) -> Box<dyn Provider> {
    let options = Arc::new(Options::of(settings));
    let is_a = detect::generation(memory) == Some("a") || options.generation == "a";
    if is_a && options.generation != "b" {
        return Box::new(Changes::open(settings, &options));
    }
    match Bundles::open(settings, &options, memory) {
        Some(bundles) => Box::new(bundles),
        None => Box::new(Unmet {
            like: Changes::open(settings, &options),
            options,
        }),
    }
}

/// A server that is yet to be asked what it speaks.
struct Unmet {
    /// What is the same of both generations.
    like: Changes,
    options: Arc<Options>,
}

impl Provider for Unmet {
    fn manners(&self) -> &Manners {
        self.like.manners()
    }

    fn admit(&self, entity: &Entity) -> Result<(), String> {
        self.like.admit(entity)
    }

    fn encode(
        &self,
        entity: &Entity,
        row: &RowToSend<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        self.like.encode(entity, row, out)
    }

    fn begin(&self, _: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        Ok(Box::new(Detect::begin(Arc::clone(&self.options), known)))
    }

    fn may_watch(&self) -> bool {
        true
    }
}

fn check(settings: &Settings) -> Result<(), String> {
    for key in ["uploadPath", "downloadPath"] {
        let path = settings.text(key);
        let is_clean = |letter: char| letter.is_ascii_graphic() && !"?#".contains(letter);
        if !path.starts_with('/') || !path.chars().all(is_clean) {
            return Err(format!(
                "{key} is {}; write a path that begins with a slash, without parameters",
                quoted(path)
            ));
        }
    }
    if let Some(source) = settings.optional_text("sourceId")
        && (source.is_empty() || !source.bytes().all(|letter| letter.is_ascii_graphic()))
    {
        return Err(format!(
            "sourceId is {}; it travels in a header, so write letters, digits and signs without spaces",
            quoted(source)
        ));
    }
    let schema = settings.text("serverSchema");
    match is_name(schema) && schema.to_lowercase() == schema {
        true => Ok(()),
        false => Err(format!(
            "serverSchema is {}; the backend has names of lower case letters, digits and underscores only",
            quoted(schema)
        )),
    }
}
