//! Reading a pull answer: `{"changes":{table:{created,updated,deleted}},"timestamp":n,…}`.

use std::collections::HashSet;
use std::io::Read;

use serde_json::{Map, Value as Json};

use super::oddities::Oddities;
use super::options::{Layout, Reading};
use super::row::{read_id, read_row};
use super::strategy::Strategy;
use crate::ground::{SyncError, Warning, add_warning, quoted};
use crate::providers::cutter::{Cutter, parse, parse_owned};
use crate::providers::seen::Seen;
use crate::providers::sink::{Announced, RemoteRow, Scope, Sink};
use crate::providers::wire::{Entity, Slot};

type Result<T, E = SyncError> = std::result::Result<T, E>;

/// Bytes of a timestamp. A longer one would not fit into an address, and every later pull would fail.
const LONGEST_TIMESTAMP: usize = 16 << 10;

/// Bytes of all extra top-level values together.
const LARGEST_REST: usize = 1 << 20;

/// What a pull answer says besides its rows.
#[derive(Debug, PartialEq)]
pub struct Pulled {
    /// Where the next pull starts, exactly as the backend wrote it.
    pub cursor: String,
    /// Extra top-level members.
    pub rest: Map<String, Json>,
    pub warnings: Vec<Warning>,
}

/// Reads a whole answer and hands the changes of the wanted entities to `sink` as they come. The caller rolls back when this
/// fails: then nothing of the answer counts.
///
/// # Errors
/// An answer that breaks the protocol; those of the sink.
pub fn read_pull(
    source: impl Read,
    layout: &Layout,
    reading: Reading,
    entities: &[Entity],
    wanted: &[usize],
    sink: &mut dyn Sink,
) -> Result<Pulled> {
    let mut cutter = Cutter::new(source);
    let mut answer = Answer {
        layout,
        reading,
        trail: Vec::new(),
        entities,
        wanted,
        sink,
        deleted: vec![HashSet::new(); entities.len()],
        seen: vec![Seen::default(); entities.len()],
        changes: false,
        strategy: Strategy::default(),
        present: Vec::new(),
        cursor: None,
        rest: Map::new(),
        rest_bytes: 0,
        warnings: Vec::new(),
        oddities: Oddities::default(),
    };
    cutter.skip_byte_order_mark()?;
    cutter.object(|cutter, key| answer.member(cutter, key))?;
    cutter.end()?;
    if !answer.changes {
        return Err(SyncError::protocol(
            "the answer has no changes; nothing was applied",
        ));
    }
    answer.tell_scopes()?;
    let cursor = answer
        .cursor
        .take()
        .ok_or_else(|| SyncError::protocol("the answer has no timestamp; nothing was applied"))?;
    let mut warnings = answer.warnings;
    warnings.extend(
        answer
            .oddities
            .warnings(entities, wanted, reading.from_the_beginning),
    );
    Ok(Pulled {
        cursor,
        rest: answer.rest,
        warnings,
    })
}

struct Answer<'a> {
    layout: &'a Layout,
    reading: Reading,
    /// The members that the walk is in.
    trail: Vec<String>,
    entities: &'a [Entity],
    /// The entities that the answer is for.
    wanted: &'a [usize],
    sink: &'a mut dyn Sink,
    /// Ids deleted by this answer: they stay deleted, wherever else they stand.
    deleted: Vec<HashSet<String>>,
    /// The ids of created and updated rows. A clash of fingerprints costs a needless warning.
    seen: Vec<Seen>,
    /// The member `changes` was there.
    changes: bool,
    /// Which tables hold all there is. It may stand behind the changes.
    strategy: Strategy,
    /// Entities whose table was there.
    present: Vec<usize>,
    cursor: Option<String>,
    rest: Map<String, Json>,
    rest_bytes: usize,
    warnings: Vec<Warning>,
    oddities: Oddities,
}

impl Answer<'_> {
    fn member<R: Read>(&mut self, cutter: &mut Cutter<R>, key: &str) -> Result<()> {
        self.trail.push(key.to_owned());
        self.value(cutter)?;
        self.trail.pop();
        Ok(())
    }

    fn value<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<()> {
        if self.layout.changes.is(&self.trail) {
            self.changes = true;
            if cutter.take_null()? {
                return self.require_lists("changes is null");
            }
            if cutter.peek()? == Some(b'[') {
                return empty_list(cutter);
            }
            return cutter.object(|cutter, table| self.table(cutter, table));
        }
        if self.layout.timestamp.is(&self.trail) {
            self.cursor = Some(timestamp(cutter.value()?, self.reading.opaque)?);
            return Ok(());
        }
        let above = self.layout.changes.begins_with(&self.trail)
            || self.layout.timestamp.begins_with(&self.trail);
        if above && cutter.peek()? == Some(b'{') {
            return cutter.object(|cutter, key| self.member(cutter, key));
        }
        if self.trail == ["experimentalStrategy"] {
            self.strategy = Strategy::parse(&parse_owned(cutter.value()?)?)?;
            if self.reading.turbo && self.strategy.replaces_any() {
                return Err(bulk("a replacement"));
            }
            return Ok(());
        }
        self.keep(cutter)
    }

    /// Says what the rows of a table that holds all there is mean for those that it does not name.
    fn tell_scopes(&mut self) -> Result<()> {
        let places = std::mem::take(&mut self.present);
        for place in places {
            // By fingerprint: of two that clash, a row stays until the next replacement.
            let seen = &self.seen[place];
            let named = |id: &str| seen.names(id);
            if self.strategy.replaces(&self.entities[place].name) {
                self.sink.scope(place, &Scope::Retain(&named))?;
            } else if self.reading.from_the_beginning {
                self.sink.scope(place, &Scope::Named(&named))?;
            }
        }
        Ok(())
    }

    /// Keeps a member that means nothing here, for the caller.
    fn keep<R: Read>(&mut self, cutter: &mut Cutter<R>) -> Result<()> {
        let value = cutter.value()?;
        self.rest_bytes += value.len();
        if self.rest_bytes > LARGEST_REST {
            return Err(SyncError::protocol(format!(
                "the answer has over {} KiB besides its changes; nothing was applied",
                LARGEST_REST >> 10
            )));
        }
        let value = parse_owned(value)?;
        let Some((name, above)) = self.trail.split_last() else {
            return Ok(());
        };
        let mut rest = &mut self.rest;
        for name in above {
            let inner = rest
                .entry(name.as_str())
                .or_insert_with(|| Json::Object(Map::new()));
            match inner {
                Json::Object(inner) => rest = inner,
                // The same member twice, once as something else.
                _ => return Ok(()),
            }
        }
        rest.insert(name.clone(), value);
        Ok(())
    }

    /// What may be left out, unless the answer is read strictly.
    fn require_lists(&self, missing: &str) -> Result<()> {
        if !self.reading.strict {
            return Ok(());
        }
        Err(SyncError::protocol(format!(
            "{missing}, which is refused because lenient is false; nothing was applied"
        )))
    }

    fn table<R: Read>(&mut self, cutter: &mut Cutter<R>, name: &str) -> Result<()> {
        let wanted = self
            .wanted
            .iter()
            .find(|place| self.entities[**place].name == name);
        let Some(place) = wanted.copied() else {
            // Other entities of the same backend: they have cursors of their own.
            let is_ours = self.entities.iter().any(|entity| entity.name == name);
            if !is_ours {
                self.oddities.strangers.add(name);
            }
            return skip_table(cutter);
        };
        self.oddities.named.push(place);
        if cutter.take_null()? {
            return self.require_lists(&format!("{} is null", quoted(name)));
        }
        self.present.push(place);
        let mut missing = vec!["created", "updated", "deleted"];
        cutter.object(|cutter, kind| {
            if cutter.take_null()? {
                return Ok(());
            }
            missing.retain(|list| *list != kind);
            match kind {
                "created" => self.rows(cutter, place, Announced::Created),
                "updated" => self.rows(cutter, place, Announced::Updated),
                "deleted" => self.ids(cutter, place),
                other if self.reading.turbo => Err(bulk(&format!("{} in a table", quoted(other)))),
                other => {
                    let rows = skip_list(cutter)?;
                    self.oddities.unknown_list(place, other, rows);
                    Ok(())
                }
            }
        })?;
        match missing.first() {
            Some(list) => self.require_lists(&format!("{} has no list {list}", quoted(name))),
            None => Ok(()),
        }
    }

    fn rows<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        place: usize,
        announced: Announced,
    ) -> Result<()> {
        let mut any = false;
        cutter.array(|cutter| {
            any = true;
            let mut slots: Vec<Slot<'_>> = Vec::new();
            let entity = &self.entities[place];
            let text = cutter.value()?;
            let id = read_row(entity, self.reading, text, &mut slots)?;
            if !slots.is_empty() && slots.iter().all(Slot::is_missing) {
                self.oddities.unknown_columns(place, text);
            }
            if !self.deleted[place].is_empty() && self.deleted[place].contains(&id.to_string()) {
                let warnings = &mut self.warnings;
                return complain(self.reading, warnings, entity, ALSO_DELETED, "deleted wins");
            }
            if !self.seen[place].insert(&id) {
                let warnings = &mut self.warnings;
                complain(self.reading, warnings, entity, TWICE, "the last wins")?;
            }
            self.sink.row(&RemoteRow {
                entity: place,
                announced,
                id: &id,
                slots: &slots,
                version: None,
            })
        })?;
        if any && self.reading.created_as_updated && announced == Announced::Created {
            let name = &self.entities[place].name;
            let message = format!(
                "{name}: the backend announced rows as created, though sendCreatedAsUpdated is set"
            );
            self.warnings
                .push(Warning::new("createdDespiteSetting", message).of(name));
        }
        Ok(())
    }

    fn ids<R: Read>(&mut self, cutter: &mut Cutter<R>, place: usize) -> Result<()> {
        cutter.array(|cutter| {
            let entity = &self.entities[place];
            let id = read_id(entity, cutter.value()?)?;
            if self.reading.turbo {
                return Err(bulk("deleted rows"));
            }
            if self.seen[place].contains(&id) {
                let warnings = &mut self.warnings;
                complain(self.reading, warnings, entity, ALSO_DELETED, "deleted wins")?;
            }
            self.deleted[place].insert(id.to_string());
            self.sink.gone(place, &id, None)
        })
    }
}

/// PHP writes an empty map as a list.
fn empty_list<R: Read>(cutter: &mut Cutter<R>) -> Result<()> {
    cutter.array(|_| {
        Err(SyncError::protocol(
            "changes is a list, not an object; nothing was applied",
        ))
    })
}

fn bulk(what: &str) -> SyncError {
    SyncError::protocol(format!(
        "the answer to a turbo pull has {what}, which a bulk load can't take; nothing was applied"
    ))
}

const TWICE: &str = "an id is in the answer twice";
const ALSO_DELETED: &str = "an id is in deleted and in another list";

/// Puts up with something, or refuses the answer when it is read strictly.
fn complain(
    reading: Reading,
    warnings: &mut Vec<Warning>,
    entity: &Entity,
    what: &str,
    outcome: &str,
) -> Result<()> {
    if reading.strict {
        return Err(SyncError::protocol(format!(
            "{}: {what}, which is refused because lenient is false; nothing was applied",
            entity.name
        )));
    }
    let warning = Warning::new("idTwice", format!("{}: {what}; {outcome}", entity.name));
    add_warning(warnings, warning.of(&entity.name));
    Ok(())
}

/// Passes over a member of a table; how many rows it may have held.
fn skip_list<R: Read>(cutter: &mut Cutter<R>) -> Result<i64> {
    match cutter.peek()? {
        Some(b'[') => {
            let mut rows = 0;
            cutter.array(|cutter| {
                rows += 1;
                parse::<serde::de::IgnoredAny>(cutter.value()?).map(drop)
            })?;
            Ok(rows)
        }
        Some(b'{') => {
            let mut rows = 0;
            cutter.object(|cutter, _| {
                rows += 1;
                parse::<serde::de::IgnoredAny>(cutter.value()?).map(drop)
            })?;
            Ok(rows)
        }
        // A count, say.
        _ => parse::<serde::de::IgnoredAny>(cutter.value()?).map(|_| 0),
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

/// A timestamp must be a number above zero; an `opaque` one can be any number, or text. It is kept as it is, so that
/// it goes back as it came.
fn timestamp(text: &[u8], opaque: bool) -> Result<String> {
    if text.len() > LONGEST_TIMESTAMP {
        return Err(SyncError::protocol(format!(
            "the answer's timestamp is longer than {} KiB; nothing was applied",
            LONGEST_TIMESTAMP >> 10
        )));
    }
    let number: Option<f64> = serde_json::from_slice(text).ok();
    let is_number = number.is_some_and(|number| number.is_finite() && (opaque || number > 0.0));
    let is_text = || {
        let word: Option<String> = serde_json::from_slice(text).ok();
        opaque && word.is_some_and(|word| !word.is_empty())
    };
    if is_number || is_text() {
        return Ok(String::from_utf8_lossy(text).into_owned());
    }
    let shown = String::from_utf8_lossy(&text[..text.len().min(40)]);
    let wanted = match opaque {
        false => "a number above 0",
        true => "a number or text",
    };
    Err(SyncError::protocol(format!(
        "the answer's timestamp is not {wanted}; nothing was applied"
    ))
    .saying(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::path::Path;
    use crate::providers::sink::{Sent, Verdict};
    use crate::providers::wire::{Holds, KeyType, WireColumn, WireId, WireType};

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        fn row(&mut self, row: &RemoteRow<'_>) -> Result<()> {
            self.0.push(format!(
                "{} {:?} {} {:?}",
                row.entity,
                row.announced,
                row.id,
                row.slots[0].value()
            ));
            Ok(())
        }

        fn gone(&mut self, entity: usize, id: &WireId<'_>, _: Option<i64>) -> Result<()> {
            self.0.push(format!("{entity} Deleted {id}"));
            Ok(())
        }

        fn scope(&mut self, entity: usize, scope: &Scope<'_>) -> Result<()> {
            let Scope::Retain(named) = scope else {
                return Err(SyncError::protocol("this protocol names rows"));
            };
            let kept: Vec<&str> = ["a", "b", "7"].into_iter().filter(|id| named(id)).collect();
            self.0.push(format!("{entity} Kept {kept:?}"));
            Ok(())
        }

        fn verdict(&mut self, _: Sent<'_>, _: Verdict<'_>) -> Result<()> {
            unreachable!("a pull is about no row that was sent")
        }
    }

    fn read(text: &str) -> (Result<Pulled>, Vec<String>) {
        read_as(("$.timestamp", "$.changes"), Reading::default(), text)
    }

    fn read_as(
        (timestamp, changes): (&str, &str),
        reading: Reading,
        text: &str,
    ) -> (Result<Pulled>, Vec<String>) {
        let layout = Layout {
            timestamp: Path::parse(timestamp).unwrap(),
            changes: Path::parse(changes).unwrap(),
        };
        let column = WireColumn {
            name: "n".into(),
            kind: WireType::Number,
            required: false,
            holds: Holds::default(),
        };
        let entities = [Entity {
            name: "t".into(),
            columns: vec![column],
            key: "id".into(),
            references: Vec::new(),
            key_type: KeyType::Text,
        }];
        let mut log = Log::default();
        let end = read_pull(text.as_bytes(), &layout, reading, &entities, &[0], &mut log);
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
    fn an_answer_may_begin_with_a_byte_order_mark() {
        let whole = r#"{"changes":{"t":{"deleted":["a"]}},"timestamp":7}"#;
        let (end, events) = read(&format!("\u{feff}{whole}"));
        assert_eq!(end.unwrap().cursor, "7");
        assert_eq!(events, read(whole).1);
        for wrong in [
            "\u{feff}\u{feff}{}",
            " \u{feff}{}",
            "\u{feff}",
            "{\u{feff}}",
        ] {
            assert!(read(wrong).0.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn timestamp_and_changes_may_stand_elsewhere() {
        let answer = r#"{"ok":true,"data":{"note":{"n":1},"sync":{"changes":{"t":{"deleted":["a"]}},"x":1},
            "meta":{"at":7,"y":[2]}},"timestamp":5,"changes":{"t":{"deleted":["no"]}}}"#;
        let paths = ("$.data.meta.at", "$.data.sync.changes");
        let (end, log) = read_as(paths, Reading::default(), answer);
        let end = end.unwrap();
        assert_eq!(
            (end.cursor.as_str(), log),
            ("7", vec!["0 Deleted a".to_owned()])
        );
        assert_eq!(
            Json::Object(end.rest).to_string(),
            r#"{"ok":true,"data":{"note":{"n":1},"sync":{"x":1},"meta":{"y":[2]}},"timestamp":5,"changes":{"t":{"deleted":["no"]}}}"#
        );
        for answer in [
            r#"{"data":null,"timestamp":5,"changes":{}}"#,
            r#"{"data":{"sync":{"changes":{}},"meta":[7]}}"#,
            r#"{"data":{"sync":{"changes":{}},"meta":{"at":0}}}"#,
            r#"{"data":{"sync":[],"meta":{"at":7}}}"#,
        ] {
            assert!(
                read_as(paths, Reading::default(), answer).0.is_err(),
                "{answer}"
            );
        }
    }

    #[test]
    fn opaque_timestamps_may_be_text() {
        let read = |timestamp: &str| {
            let reading = Reading {
                opaque: true,
                ..Reading::default()
            };
            let text = format!(r#"{{"changes":{{}},"timestamp":{timestamp}}}"#);
            let (end, _) = read_as(("$.timestamp", "$.changes"), reading, &text);
            end.map(|end| end.cursor)
        };
        for good in ["\"a\\u0062\"", "1.50", "7", "0", "-1"] {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        for bad in ["\"\"", "null", "[1]", "true"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn strictly_nothing_may_be_missing_or_stand_twice() {
        let whole = r#"{"changes":{"t":{"created":[{"id":"a"}],"updated":[],"deleted":["b"]},"z":null},"timestamp":1}"#;
        let strict = Reading {
            strict: true,
            ..Reading::default()
        };
        let read = |text: &str| read_as(("$.timestamp", "$.changes"), strict, text).0;
        assert!(read(whole).is_ok());
        assert!(read(r#"{"changes":{},"timestamp":1}"#).is_ok());
        for text in [
            r#"{"changes":null,"timestamp":1}"#,
            r#"{"changes":{"t":null},"timestamp":1}"#,
            r#"{"changes":{"t":{}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[],"updated":[]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":null,"updated":[],"deleted":[]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[{"id":"a"},{"id":"a"}],"updated":[],"deleted":[]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[{"id":"a"}],"updated":[{"id":"a"}],"deleted":[]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[{"id":"a"}],"updated":[],"deleted":["a"]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"deleted":["a"],"created":[{"id":"a"}],"updated":[]}},"timestamp":1}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rows_announced_as_created_though_none_were_to_be() {
        let reading = Reading {
            created_as_updated: true,
            ..Reading::default()
        };
        let warnings = |created: &str| {
            let text = format!(r#"{{"changes":{{"t":{{"created":{created}}}}},"timestamp":1}}"#);
            let (end, _) = read_as(("$.timestamp", "$.changes"), reading, &text);
            end.unwrap().warnings.len()
        };
        assert_eq!(warnings("[]"), 0);
        assert_eq!(warnings("[ ]"), 0);
        assert_eq!(warnings(r#"[{"id":"a"},{"id":"b"}]"#), 1);
    }

    #[test]
    fn replacement_is_asked_for_wherever_the_strategy_stands() {
        let changes = r#""changes":{"t":{"created":[{"id":"a"}],"updated":[{"id":7}]}}"#;
        for text in [
            format!(r#"{{{changes},"timestamp":1,"experimentalStrategy":"replacement"}}"#),
            format!(
                r#"{{"experimentalStrategy":{{"override":{{"t":"replacement"}}}},{changes},"timestamp":1}}"#
            ),
        ] {
            let (end, log) = read(&text);
            assert!(end.is_ok());
            assert_eq!(
                log.last().map(String::as_str),
                Some(r#"0 Kept ["a", "7"]"#),
                "{text}"
            );
        }
        // A table that is not there is not touched.
        let (end, log) =
            read(r#"{"changes":{},"timestamp":1,"experimentalStrategy":"replacement"}"#);
        assert!(end.is_ok() && log.is_empty());
    }

    #[test]
    fn a_bulk_load_takes_rows_only() {
        let reading = Reading {
            turbo: true,
            ..Reading::default()
        };
        let read = |text: &str| read_as(("$.timestamp", "$.changes"), reading, text).0;
        assert!(
            read(r#"{"changes":{"t":{"created":[{"id":"a"}],"deleted":[]}},"timestamp":1}"#)
                .is_ok()
        );
        for text in [
            r#"{"changes":{"t":{"deleted":["a"]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"other":[]}},"timestamp":1}"#,
            r#"{"changes":{},"timestamp":1,"experimentalStrategy":"replacement"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_empty() {
        for text in [
            r#"{"timestamp":1,"changes":null}"#,
            r#"{"timestamp":1,"changes":[]}"#,
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
            r#"{"changes":[{}],"timestamp":1}"#,
            r#"{"changes":{"t":[]},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":{}}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[5]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"deleted":[null]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"deleted":[8x]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"deleted":[08]}},"timestamp":1}"#,
            r#"{"changes":{"t":{"created":[{"id":8x}]}},"timestamp":1}"#,
            r#"{"changes":{},"timestamp":1,"experimentalStrategy":"nonsense"}"#,
            r#"{"changes":{"t":{"created":[{"id":"a"}"#,
            "<html></html>",
            "",
        ] {
            assert!(read(text).0.is_err(), "{text}");
        }
    }
}
