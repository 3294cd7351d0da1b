//! The generation of the protocol that moves changes of rows: `/sync/upload` and `/sync/download`.
//!
//! | step | request, unless the configuration says otherwise |
//! |---|---|
//! | upload | `POST url/sync/upload`, body `{last_server_seq_seen,changes:[{source_change_id,schema,table,op,pk,server_version,payload}]}` |
//! | download | `GET url/sync/download?after=…&limit=…&include_self=…&until=…&schema=…` |
//!
//! Every row has a version; an upload says on which one a change is based, and an entry of the log that is not newer than
//! what is known is passed over. Every change has a number: sent again under the same, it is never carried out twice.
//!
//! | file | subject |
//! |---|---|
//! | `conversation` | one run: what is due, what an answer changes |
//! | `upload`, `download` | bodies and answers |
//! | `latest` | what the server has, for a comparison |

mod conversation;
mod download;
mod latest;
mod upload;

use std::sync::Arc;

use super::options::{self, Options};
use super::row::{Dialect, write_row};
use super::tables::admit;
use crate::providers::conversation::{
    ApplyRules, Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend,
};
use crate::providers::kind::Settings;
use crate::providers::table_keys;
use crate::providers::wire::Entity;

use conversation::Talk;

/// How values travel.
const DIALECT: Dialect = Dialect {
    null_references: false,
    large_as_text: false,
    uuids: true,
};

/// A server of changes.
pub struct Changes {
    options: Arc<Options>,
    manners: Manners,
}

impl Changes {
    pub fn open(settings: &Settings, options: &Arc<Options>) -> Self {
        let limit = settings.number("uploadLimit");
        Self {
            options: Arc::clone(options),
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
                apply: ApplyRules {
                    // The log does not say which rows are new.
                    created_as_updated: true,
                    server_wins: true,
                    asks_for_deletes: true,
                    settles_equal: true,
                    conflicts_alone: true,
                    ..table_keys::apply_rules(settings)
                },
            },
        }
    }
}

impl Provider for Changes {
    fn manners(&self) -> &Manners {
        &self.manners
    }

    fn admit(&self, entity: &Entity) -> Result<(), String> {
        admit(entity, "UUIDs")
    }

    fn encode(
        &self,
        entity: &Entity,
        row: &RowToSend<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        write_row(entity, row, DIALECT, out)
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        let talk = Talk::begin(Arc::clone(&self.options), goal, known)?;
        Ok(Box::new(talk))
    }
}
