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
//! | `doubt` | rows of which the log may be wrong, and reading them by themselves |
//! | `latest` | what the server has, for a comparison |

mod conversation;
mod doubt;
mod download;
mod latest;
mod upload;

use std::sync::Arc;

use super::options::Options;
use super::row::{Dialect, write_row};
use super::tables::admit;
use super::wire::manners;
use crate::providers::conversation::{
    Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend,
};
use crate::providers::kind::Settings;
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
        let mut manners = manners(settings);
        manners.batch = match settings.text("uploadShape") {
            "safe" => 1,
            _ => manners.round,
        };
        manners.apply.conflicts_alone = true;
        Self {
            options: Arc::clone(options),
            manners,
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
