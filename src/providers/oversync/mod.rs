//! The protocol of oversync servers (SQLiteNow), the one with changes of rows: `/sync/upload` and `/sync/download`.
//!
//! | step | request, unless the configuration says otherwise |
//! |---|---|
//! | upload | `POST url/sync/upload`, body `{last_server_seq_seen,changes:[{source_change_id,schema,table,op,pk,server_version,payload}]}` |
//! | download | `GET url/sync/download?after=…&limit=…&include_self=…&until=…&schema=…` |
//!
//! Every row has a version; an upload says on which one a change is based, and an entry of the log that is not newer than
//! what is known is passed over. Every change has a number: sent again under the same, it is never carried out twice.
//! The rules come from recordings of a running server, see `tests/fixtures/oversync/a`.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the provider |
//! | `conversation` | one run: what is due, what an answer changes |
//! | `keys`, `options` | the configuration: its keys, how it is used; the options of a call |
//! | `upload`, `download` | bodies and answers |
//! | `row`, `tables`, `uuid` | rows, tables and keys on the wire |
//! | `latest` | what the server has, for a comparison |

mod conversation;
mod download;
mod keys;
mod latest;
mod options;
mod row;
mod tables;
mod upload;
mod uuid;

use std::sync::Arc;

use serde_json::Map;

use super::conversation::{
    ApplyRules, Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend,
};
use super::kind::{Kind, Settings, Transport};
use super::wire::Entity;
use super::{http_keys, table_keys};
use crate::ground::quoted;

use conversation::Talk;
use options::Options;
use tables::is_name;

pub static KIND: Kind = Kind {
    name: "oversync",
    transport: Transport::Http,
    keys: &[http_keys::KEYS, table_keys::KEYS, keys::KEYS],
    fill: |_| Map::new(),
    check,
    open: Some(|settings| Ok(Box::new(Oversync::open(settings)))),
};

/// Statuses by which the server, or one before it, refuses an upload for some of its changes, or fails with them.
const REFUSALS: &[u16] = &[400, 409, 413, 422, 500];

/// An oversync server.
pub struct Oversync {
    options: Arc<Options>,
    manners: Manners,
}

impl Oversync {
    fn open(settings: &Settings) -> Self {
        let limit = settings.number("uploadLimit");
        Self {
            options: Arc::new(Options::of(settings)),
            manners: Manners {
                batch: match settings.text("uploadShape") {
                    "safe" => 1,
                    _ => limit,
                },
                round: limit,
                journal_pulls: 0,
                cursors_grow: true,
                versions: true,
                numbered: true,
                resends: true,
                one_cursor: true,
                paging: options::PAGING,
                refusals: match settings.flag("splitRefused") {
                    true => REFUSALS,
                    false => &[],
                },
                apply: ApplyRules {
                    // The log does not say which rows are new.
                    created_as_updated: true,
                    server_wins: true,
                    asks_for_deletes: true,
                    settles_equal: true,
                    ..table_keys::apply_rules(settings)
                },
            },
        }
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
    let schema = settings.text("serverSchema");
    match is_name(schema) && schema.to_lowercase() == schema {
        true => Ok(()),
        false => Err(format!(
            "serverSchema is {}; the backend has names of lower case letters, digits and underscores only",
            quoted(schema)
        )),
    }
}

impl Provider for Oversync {
    fn manners(&self) -> &Manners {
        &self.manners
    }

    fn admit(&self, entity: &Entity) -> Result<(), String> {
        if entity.integer_key {
            return Err(format!(
                "column {} of {} is a key of whole numbers, and this protocol has UUIDs as keys; declare it TEXT",
                quoted(&entity.key),
                quoted(&entity.name)
            ));
        }
        match is_name(&entity.name) {
            true => Ok(()),
            false => Err(format!(
                "the backend has names of letters, digits and underscores only, and {} is none; name the entity \
                 otherwise with tableMap",
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
        row::write_row(entity, row, out)
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        let talk = Talk::begin(Arc::clone(&self.options), goal, known)?;
        Ok(Box::new(talk))
    }
}
