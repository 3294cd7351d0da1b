//! In what terms rows travel: tables by their names there, values as the revision has them.

use std::borrow::Cow;
use std::io;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::hash::spelled;
use super::numbers;
use super::refusal::another;
use super::revision::Revision;
use crate::ground::SyncError;
use crate::providers::oversync::row::{read_with, rounded};
use crate::providers::oversync::tables::Tables;
use crate::providers::wire::Slot;

/// In what terms rows travel.
#[derive(Clone, Copy)]
pub struct Terms<'t> {
    pub tables: &'t Tables,
    pub revision: Revision,
    /// The server was asked in this run which revision it speaks.
    pub is_sure: bool,
}

impl Terms<'_> {
    /// The same of what came of a request with such a hash: that is as the later revision has it, whatever is spoken now.
    ///
    /// # Errors
    /// See [`another`].
    pub fn of(self, request: Option<&str>) -> Result<Self, SyncError> {
        match (self.revision, request) {
            (Revision::Later, _) | (_, None | Some("")) => Ok(self),
            _ if !self.is_sure => Err(another()),
            _ => Ok(Self {
                revision: Revision::Later,
                ..self
            }),
        }
    }

    /// A value for each column of an entity, from a payload.
    ///
    /// # Errors
    /// What is no JSON object; see [`another`].
    pub fn read(self, entity: usize, payload: &RawValue) -> Result<Vec<Slot<'static>>, SyncError> {
        let entity = self.tables.entity(entity);
        read_with(entity, payload, |column, raw| match self.revision {
            other
                if !self.is_sure
                    && numbers::revision(column, raw).is_some_and(|one| one != other) =>
            {
                Err(another())
            }
            Revision::Later => Ok(numbers::exact(column, raw)),
            Revision::Earlier => Ok(rounded(column, raw)),
        })
    }

    /// A frozen row as it is sent.
    ///
    /// # Errors
    /// What is no row.
    pub fn payload<'c>(self, entity: usize, content: &'c str) -> io::Result<Cow<'c, str>> {
        match self.revision {
            Revision::Earlier => Ok(content.into()),
            Revision::Later => {
                numbers::payload(self.tables.entity(entity), content, false).map(Cow::Owned)
            }
        }
    }

    /// The same in the spelling that is hashed; `null` of a row that is deleted.
    ///
    /// # Errors
    /// What is no row.
    pub fn hashed(self, entity: usize, content: &str) -> io::Result<Vec<u8>> {
        match self.revision {
            Revision::Later if content != "null" => {
                let payload = numbers::payload(self.tables.entity(entity), content, true)?;
                Ok(payload.into_bytes())
            }
            revision => Ok(spelled(revision, &serde_json::from_str(content)?)),
        }
    }

    /// JSON of the server in that spelling.
    pub fn spelled(self, json: &Json) -> Vec<u8> {
        spelled(self.revision, json)
    }
}
