//! Another SQLite file in the place of a server.
//!
//! What is asked of it and what comes back are the messages of the room `hub`, which carries them out.

mod conversation;
mod memory;

use serde_json::Map;

use super::conversation::{
    ApplyRules, Conversation, Goal, Known, Manners, Provider, Refusal, RowToSend,
};
use super::kind::{Kind, Settings, Transport};
use super::wire::{ChangeKind, Entity};
use super::{file_keys, table_keys};
use crate::hub::Place;
use crate::hub::wire::write_column;

use conversation::Talk;

pub static KIND: Kind = Kind {
    name: "sqlite",
    transport: Transport::File,
    keys: &[file_keys::KEYS, table_keys::KEYS],
    fill: |_| Map::new(),
    check: file_keys::check,
    functions: None,
    open: Some(|settings, _| Ok(Box::new(File::of(settings)))),
};

struct File {
    place: Place,
    manners: Manners,
}

impl File {
    fn of(settings: &Settings) -> Self {
        Self {
            place: file_keys::place(settings),
            manners: Manners {
                cursors_grow: false,
                numbered: true,
                resends: true,
                blob_keys: true,
                asks_pending: true,
                apply: ApplyRules {
                    // What is said to be gone may have been another row of that key.
                    keep_created: true,
                    created_as_updated: true,
                    settles_equal: true,
                    ..table_keys::apply_rules(settings)
                },
                ..Manners::default()
            },
        }
    }
}

impl Provider for File {
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
        let mut write = |place: usize| match (entity.columns.get(place), row.values.get(place)) {
            (Some(column), Some(value)) => write_column(out, &column.name, *value),
            _ => Ok(()),
        };
        match row.kind {
            ChangeKind::Created => (0..entity.columns.len()).try_for_each(write),
            ChangeKind::Updated => row.changed.iter().try_for_each(|place| write(*place)),
            ChangeKind::Deleted => Ok(()),
        }
    }

    fn begin(&self, goal: Goal, known: Known) -> Result<Box<dyn Conversation>, Refusal> {
        Ok(Box::new(Talk::begin(&self.place, goal, known)))
    }
}
