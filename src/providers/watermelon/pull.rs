//! Reading a pull answer: `{"changes":{table:{created,updated,deleted}},"timestamp":n,…}`.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;

use serde_json::{Map, Value as Json};

use super::row::{read_id, read_row};
use crate::providers::cutter::{Cutter, parse};
use crate::providers::error::SyncError;
use crate::providers::protocol::PullEnd;
use crate::providers::wire::{Announced, ChangeSink, Entity, Slot, WireId};

type Result<T, E = SyncError> = std::result::Result<T, E>;

/// Most tables that nobody asked for named in a warning.
const STRANGERS: usize = 5;

/// Bytes of all extra top-level values together.
const LARGEST_REST: usize = 1 << 20;

/// Reads a whole answer and hands the changes of the wanted entities to `sink` as they come; `repeated` are
/// those of them that were asked for from before their own cursor. The caller rolls back when this fails:
/// then nothing of the answer counts.
///
/// # Errors
/// An answer that breaks the protocol; those of the sink.
pub fn read_pull(
    source: impl Read,
    entities: &[Entity],
    wanted: &[usize],
    repeated: &[usize],
    sink: &mut dyn ChangeSink,
) -> Result<PullEnd> {
    let mut cutter = Cutter::new(source);
    let mut answer = Answer {
        entities,
        wanted,
        repeated,
        sink,
        deleted: vec![HashSet::new(); entities.len()],
        seen: vec![HashSet::new(); entities.len()],
        hasher: RandomState::new(),
        changes: false,
        cursor: None,
        rest: Map::new(),
        rest_bytes: 0,
        warnings: Vec::new(),
        strangers: Vec::new(),
    };
    cutter.object(|cutter, key| answer.member(cutter, key))?;
    cutter.end()?;
    if !answer.changes {
        return Err(SyncError::protocol(
            "the answer has no changes; nothing was applied",
        ));
    }
    let cursor = answer
        .cursor
        .ok_or_else(|| SyncError::protocol("the answer has no timestamp; nothing was applied"))?;
    if !answer.strangers.is_empty() {
        answer.warnings.push(format!(
            "tables that this sync did not ask for were passed over: {}",
            answer.strangers.join(", ")
        ));
    }
    Ok(PullEnd {
        entities: wanted.to_vec(),
        cursor,
        rest: answer.rest,
        warnings: answer.warnings,
    })
}

struct Answer<'a> {
    entities: &'a [Entity],
    /// The entities that the answer is for.
    wanted: &'a [usize],
    /// Those of them that were pulled further before.
    repeated: &'a [usize],
    sink: &'a mut dyn ChangeSink,
    /// Ids deleted by this answer: they stay deleted, wherever else they stand.
    deleted: Vec<HashSet<String>>,
    /// Fingerprints of the ids of created and updated rows. A clash of fingerprints costs a needless
    /// warning; ids themselves would cost much more memory.
    seen: Vec<HashSet<u64>>,
    hasher: RandomState,
    /// The member `changes` was there.
    changes: bool,
    cursor: Option<String>,
    rest: Map<String, Json>,
    rest_bytes: usize,
    warnings: Vec<String>,
    /// Names of tables that nobody asked for.
    strangers: Vec<String>,
}

impl Answer<'_> {
    fn member<R: Read>(&mut self, cutter: &mut Cutter<R>, key: &str) -> Result<()> {
        match key {
            "changes" => {
                self.changes = true;
                if cutter.take_null()? {
                    return Ok(());
                }
                cutter.object(|cutter, table| self.table(cutter, table))
            }
            "timestamp" => {
                self.cursor = Some(timestamp(cutter.value()?)?);
                Ok(())
            }
            "experimentalStrategy" => match parse::<Json>(cutter.value()?)? {
                Json::Null => Ok(()),
                Json::String(name) if name == "incremental" => Ok(()),
                other => Err(SyncError::protocol(format!(
                    "Invalid pull strategy: {other} is not supported; nothing was applied"
                ))),
            },
            other => {
                let value = cutter.value()?;
                self.rest_bytes += value.len();
                if self.rest_bytes > LARGEST_REST {
                    return Err(SyncError::protocol(format!(
                        "the answer has over {} KiB besides its changes; nothing was applied",
                        LARGEST_REST >> 10
                    )));
                }
                self.rest.insert(other.to_owned(), parse(value)?);
                Ok(())
            }
        }
    }

    fn table<R: Read>(&mut self, cutter: &mut Cutter<R>, name: &str) -> Result<()> {
        let wanted = self
            .wanted
            .iter()
            .find(|place| self.entities[**place].name == name);
        let Some(place) = wanted.copied() else {
            // Other entities of the same backend: they have cursors of their own.
            if self.strangers.len() < STRANGERS {
                self.strangers.push(format!("{name:?}"));
            }
            return skip_table(cutter);
        };
        if cutter.take_null()? {
            return Ok(());
        }
        cutter.object(|cutter, kind| {
            if cutter.take_null()? {
                return Ok(());
            }
            match kind {
                "created" | "updated" if self.repeated.contains(&place) => {
                    self.rows(cutter, place, Announced::Again)
                }
                "created" => self.rows(cutter, place, Announced::Created),
                "updated" => self.rows(cutter, place, Announced::Updated),
                "deleted" => self.ids(cutter, place),
                _ => parse::<serde::de::IgnoredAny>(cutter.value()?).map(drop),
            }
        })
    }

    fn rows<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        place: usize,
        announced: Announced,
    ) -> Result<()> {
        cutter.array(|cutter| {
            let mut slots: Vec<Slot<'_>> = Vec::new();
            let id = read_row(&self.entities[place], cutter.value()?, &mut slots)?;
            if !self.deleted[place].is_empty() && self.deleted[place].contains(&id_text(&id)) {
                warn_of_deleted(&mut self.warnings, &self.entities[place]);
                return Ok(());
            }
            let fingerprint = fingerprint(&self.hasher, &id);
            if !self.seen[place].insert(fingerprint) {
                warn_once(&mut self.warnings, || {
                    format!(
                        "{}: an id stands in the answer twice; the last wins",
                        self.entities[place].name
                    )
                });
            }
            self.sink.upsert(place, announced, &id, &slots)
        })
    }

    fn ids<R: Read>(&mut self, cutter: &mut Cutter<R>, place: usize) -> Result<()> {
        let again = self.repeated.contains(&place);
        cutter.array(|cutter| {
            let id = read_id(&self.entities[place], cutter.value()?)?;
            if self.seen[place].contains(&fingerprint(&self.hasher, &id)) {
                warn_of_deleted(&mut self.warnings, &self.entities[place]);
            }
            self.deleted[place].insert(id_text(&id));
            self.sink.delete(place, &id, again)
        })
    }
}

fn warn_of_deleted(warnings: &mut Vec<String>, entity: &Entity) {
    warn_once(warnings, || {
        format!(
            "{}: an id stands in deleted and elsewhere; deleted wins",
            entity.name
        )
    });
}

fn warn_once(warnings: &mut Vec<String>, text: impl FnOnce() -> String) {
    let text = text();
    if !warnings.contains(&text) {
        warnings.push(text);
    }
}

fn fingerprint(hasher: &RandomState, id: &WireId<'_>) -> u64 {
    match id {
        WireId::Text(text) => hasher.hash_one(text.as_bytes()),
        WireId::Integer(number) => hasher.hash_one(number.to_string().as_bytes()),
    }
}

/// Passes over a table piece by piece, however large it is.
fn skip_table<R: Read>(cutter: &mut Cutter<R>) -> Result<()> {
    if cutter.peek()? != Some(b'{') {
        return parse::<serde::de::IgnoredAny>(cutter.value()?).map(drop);
    }
    cutter.object(|cutter, _| {
        if cutter.peek()? != Some(b'[') {
            return parse::<serde::de::IgnoredAny>(cutter.value()?).map(drop);
        }
        cutter.array(|cutter| parse::<serde::de::IgnoredAny>(cutter.value()?).map(drop))
    })
}

fn id_text(id: &WireId<'_>) -> String {
    match id {
        WireId::Text(text) => text.to_string(),
        WireId::Integer(number) => number.to_string(),
    }
}

/// A timestamp must be a number above zero. Its text is kept, so that it goes back as it came.
fn timestamp(text: &[u8]) -> Result<String> {
    let number: Option<f64> = serde_json::from_slice(text).ok();
    match number {
        Some(number) if number > 0.0 && number.is_finite() => {
            Ok(String::from_utf8_lossy(text).into_owned())
        }
        _ => Err(SyncError::protocol(format!(
            "the answer's timestamp is {}, not a number above 0; nothing was applied",
            String::from_utf8_lossy(&text[..text.len().min(40)])
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::wire::{WireColumn, WireType};

    #[derive(Default)]
    struct Log(Vec<String>);

    impl ChangeSink for Log {
        fn upsert(
            &mut self,
            entity: usize,
            announced: Announced,
            id: &WireId<'_>,
            row: &[Slot<'_>],
        ) -> Result<()> {
            self.0.push(format!(
                "{entity} {announced:?} {} {:?}",
                id_text(id),
                row[0].value()
            ));
            Ok(())
        }

        fn delete(&mut self, entity: usize, id: &WireId<'_>, again: bool) -> Result<()> {
            let again = if again { " again" } else { "" };
            self.0
                .push(format!("{entity} Deleted {}{again}", id_text(id)));
            Ok(())
        }
    }

    fn read(text: &str) -> (Result<PullEnd>, Vec<String>) {
        read_repeated(text, &[])
    }

    fn read_repeated(text: &str, repeated: &[usize]) -> (Result<PullEnd>, Vec<String>) {
        let column = WireColumn {
            name: "n".into(),
            kind: WireType::Number,
            required: false,
        };
        let entities = [Entity {
            name: "t".into(),
            columns: vec![column],
            integer_key: false,
        }];
        let mut log = Log::default();
        let end = read_pull(text.as_bytes(), &entities, &[0], repeated, &mut log);
        (end, log.0)
    }

    #[test]
    fn a_whole_answer() {
        let (end, log) = read(
            r#"{"changes":{"t":{"created":[{"id":"a","n":1}],"updated":[{"id":2}],"deleted":["c"]},
                "other":{"created":[{"id":"x"}]}},"timestamp":1.50,"more":[1]}"#,
        );
        let end = end.unwrap();
        assert_eq!(
            (end.cursor.as_str(), end.rest["more"][0].as_i64()),
            ("1.50", Some(1))
        );
        assert_eq!(
            log,
            ["0 Created a Integer(1)", "0 Updated 2 Null", "0 Deleted c"]
        );
    }

    #[test]
    fn what_may_be_a_repetition_is_marked() {
        let (_, log) = read_repeated(
            r#"{"changes":{"t":{"created":[{"id":"a"}],"updated":[{"id":"b"}],"deleted":["c"]}},"timestamp":1}"#,
            &[0],
        );
        assert_eq!(
            log,
            ["0 Again a Null", "0 Again b Null", "0 Deleted c again"]
        );
    }

    #[test]
    fn what_is_missing_is_empty() {
        for text in [
            r#"{"timestamp":1,"changes":null}"#,
            r#"{"timestamp":1,"changes":{"t":null}}"#,
            r#"{"timestamp":1,"changes":{"t":{"created":null}}}"#,
        ] {
            let (end, log) = read(text);
            assert!(end.is_ok() && log.is_empty(), "{text}");
        }
    }

    #[test]
    fn deleted_wins_whatever_the_order() {
        let (end, log) =
            read(r#"{"changes":{"t":{"deleted":["a"],"created":[{"id":"a"}]}},"timestamp":1}"#);
        assert_eq!(end.unwrap().warnings.len(), 1, "deleted wins");
        assert_eq!(log, ["0 Deleted a"]);
    }

    #[test]
    fn refused_answers() {
        for text in [
            r#"{"changes":{}}"#,
            r#"{"timestamp":1}"#,
            r#"{"error":"boom","timestamp":9}"#,
            r#"{"changes":{},"timestamp":0}"#,
            r#"{"changes":{},"timestamp":-5}"#,
            r#"{"changes":{},"timestamp":"5"}"#,
            r#"{"changes":{},"timestamp":null}"#,
            r#"{"changes":[],"timestamp":1}"#,
            r#"{"changes":{"t":[]},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":{}}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[5]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"deleted":[null]}},"timestamp":1}"#,
            r#"{"changes":{},"timestamp":1,"experimentalStrategy":"nonsense"}"#,
            r#"{"changes":{"t":{"created":[{"id":"a"}"#,
            "<html></html>",
            "",
        ] {
            assert!(read(text).0.is_err(), "{text}");
        }
    }
}
