//! The WatermelonDB sync protocol: pull, then push, with per-column client-wins on conflicts.
//!
//! | step | request |
//! |---|---|
//! | pull | `GET url?last_pulled_at=…&schema_version=…&migration=null[&tables=…]` |
//! | push | `POST url?last_pulled_at=…`, body `{table:{created,updated,deleted}}` |
//!
//! The rules come from WatermelonDB's documentation and from running its client (0.28).

mod pull;
mod row;

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io::{Read, Write};

use serde_json::Value as Json;

use super::config::Config;
use super::error::SyncError;
use super::protocol::{Outbox, Protocol, PullEnd, PushAnswer, Request, Step};
use super::wire::{ChangeSink, Entity};
use crate::store::ValueRef;

/// One sync with a WatermelonDB backend.
pub struct Watermelon {
    entities: Vec<Entity>,
    url: String,
    schema_version: i64,
    send_meta: bool,
    send_tables: bool,
    /// Pulls that are still due. What was never pulled is asked for on its own: an answer from the
    /// beginning names no deleted rows, which the other entities need.
    due: Vec<Group>,
    /// Cursor of each entity; none when it was never pulled.
    cursors: Vec<Option<String>>,
    step: Position,
    /// Whether a refused push may still be answered by another pull and push.
    second_chance: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Position {
    Pull,
    Freeze,
    Push,
    Done,
}

/// Entities that one pull is for.
struct Group {
    entities: Vec<usize>,
    cursor: Option<String>,
}

impl Watermelon {
    pub fn new(
        config: &Config,
        entities: Vec<Entity>,
        schema_version: i64,
        cursors: Vec<Option<String>>,
    ) -> Self {
        Self {
            due: groups(&cursors),
            entities,
            url: config.url.clone().unwrap_or_default(),
            schema_version,
            send_meta: config.send_meta,
            send_tables: config.send_tables,
            cursors,
            step: Position::Pull,
            second_chance: config.retry_once,
        }
    }

    fn pull_request(&self, group: &Group) -> Request {
        let cursor = group.cursor.as_deref().unwrap_or("null");
        let mut parameters = vec![
            ("last_pulled_at", cursor.to_owned()),
            ("schema_version", self.schema_version.to_string()),
            ("migration", "null".into()),
        ];
        if self.send_tables {
            let names: Vec<&str> = group
                .entities
                .iter()
                .map(|place| self.entities[*place].name.as_str())
                .collect();
            parameters.push(("tables", names.join(",")));
        }
        Request {
            method: "GET",
            url: with_parameters(&self.url, &parameters),
        }
    }

    /// The entities of a group that were pulled further than the cursor it is asked for with.
    fn repeated(&self, group: &Group) -> Vec<usize> {
        let stands_at = |place: &&usize| match (&self.cursors[**place], &group.cursor) {
            (Some(own), Some(asked)) => {
                own == asked || compare(own, asked) == Some(Ordering::Equal)
            }
            _ => true,
        };
        let places = group.entities.iter();
        places.filter(|place| !stands_at(place)).copied().collect()
    }

    fn push_request(&self) -> Request {
        let cursor = lowest_cursor(&self.cursors).unwrap_or_else(|| "null".into());
        Request {
            method: "POST",
            url: with_parameters(&self.url, &[("last_pulled_at", cursor)]),
        }
    }
}

impl Protocol for Watermelon {
    fn next(&mut self) -> Step {
        match self.step {
            Position::Pull => match self.due.first() {
                Some(group) => Step::Pull(self.pull_request(group)),
                None => Step::Freeze,
            },
            Position::Freeze => Step::Freeze,
            Position::Push => Step::Push(self.push_request()),
            Position::Done => Step::Done,
        }
    }

    fn entities(&self) -> &[Entity] {
        &self.entities
    }

    fn pulled(
        &mut self,
        status: u16,
        body: &mut dyn Read,
        sink: &mut dyn ChangeSink,
    ) -> Result<PullEnd, SyncError> {
        if status == 204 {
            return Err(SyncError::protocol(
                "the backend answered the pull with 204 and no body; nothing was applied",
            ));
        }
        let Some(group) = self.due.first() else {
            return Err(SyncError::protocol("no pull was due"));
        };
        let repeated = self.repeated(group);
        let mut end = pull::read_pull(body, &self.entities, &group.entities, &repeated, sink)?;
        if is_lower(&end.cursor, group.cursor.as_deref()) {
            end.warnings.push(format!(
                "the backend's timestamp went back from {} to {}",
                group.cursor.as_deref().unwrap_or_default(),
                end.cursor
            ));
        }
        Ok(end)
    }

    fn applied(&mut self, end: &PullEnd) {
        for place in &end.entities {
            self.cursors[*place] = Some(end.cursor.clone());
        }
        if !self.due.is_empty() {
            self.due.remove(0);
        }
        if self.due.is_empty() {
            self.step = Position::Freeze;
        }
    }

    fn frozen(&mut self, rows: u64) {
        self.step = if rows == 0 {
            Position::Done
        } else {
            Position::Push
        };
    }

    fn encode(
        &self,
        entity: usize,
        kind: &str,
        id: ValueRef<'_>,
        values: &[ValueRef<'_>],
        changed: &[usize],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let id = match id {
            ValueRef::Text(text) => text.to_owned(),
            ValueRef::Integer(number) if self.entities[entity].integer_key => number.to_string(),
            // It would come back as text, and be another row.
            other => return Err(format!("its key is {}", other.type_name())),
        };
        if kind == "deleted" {
            return row::write_json(out, &id);
        }
        let columns = &self.entities[entity].columns;
        out.extend_from_slice(b"{\"id\":");
        row::write_json(out, &id)?;
        if self.send_meta {
            let names: Vec<&str> = changed
                .iter()
                .map(|place| columns[*place].name.as_str())
                .collect();
            out.extend_from_slice(b",\"_status\":");
            row::write_json(out, kind)?;
            out.extend_from_slice(b",\"_changed\":");
            row::write_json(out, &names.join(","))?;
        }
        for (column, value) in columns.iter().zip(values) {
            out.push(b',');
            row::write_json(out, &column.name)?;
            out.push(b':');
            row::write_value(out, column.kind, *value)
                .map_err(|problem| format!("column {:?} holds {problem}", column.name))?;
        }
        out.push(b'}');
        Ok(())
    }

    fn write_push(&self, outbox: &dyn Outbox, out: &mut dyn Write) -> std::io::Result<()> {
        out.write_all(b"{")?;
        for (place, entity) in self.entities.iter().enumerate() {
            if place > 0 {
                out.write_all(b",")?;
            }
            serde_json::to_writer(&mut *out, &entity.name)?;
            out.write_all(b":{")?;
            for (number, kind) in ["created", "updated", "deleted"].into_iter().enumerate() {
                write!(out, "{}\"{kind}\":[", if number > 0 { "," } else { "" })?;
                let mut first = true;
                outbox.rows(place, kind, &mut |content| {
                    if !first {
                        out.write_all(b",")?;
                    }
                    first = false;
                    out.write_all(content.as_bytes())
                })?;
                out.write_all(b"]")?;
            }
            out.write_all(b"}")?;
        }
        out.write_all(b"}")
    }

    fn pushed(&mut self, _status: u16, body: &[u8]) -> Result<PushAnswer, SyncError> {
        self.step = Position::Done;
        // Any 2xx is success; a body that is not JSON says nothing.
        let answer: Json = serde_json::from_slice(body).unwrap_or_default();
        let rejected = &answer["experimentalRejectedIds"];
        let rejected = self
            .entities
            .iter()
            .map(|entity| ids(&rejected[entity.name.as_str()]))
            .collect();
        Ok(PushAnswer { rejected })
    }

    fn push_refused(&mut self, status: u16) -> bool {
        let hopeless = matches!(status, 401 | 403);
        if hopeless || !self.second_chance {
            return false;
        }
        self.second_chance = false;
        self.due = groups(&self.cursors);
        self.step = Position::Pull;
        true
    }
}

fn ids(list: &Json) -> HashSet<String> {
    let id = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    list.as_array()
        .map(|list| list.iter().filter_map(id).collect())
        .unwrap_or_default()
}

/// Whether a cursor stands before the stored one.
fn is_lower(cursor: &str, stored: Option<&str>) -> bool {
    stored.is_some_and(|stored| compare(cursor, stored) == Some(Ordering::Less))
}

/// Compares two cursors; none when one is no number. Whole numbers compare exactly, however large.
fn compare(one: &str, two: &str) -> Option<Ordering> {
    if let (Ok(one), Ok(two)) = (one.parse::<i128>(), two.parse::<i128>()) {
        return Some(one.cmp(&two));
    }
    one.parse::<f64>()
        .ok()?
        .partial_cmp(&two.parse::<f64>().ok()?)
}

/// What was never pulled, then the rest from its lowest cursor: a pull from there misses nothing of any
/// of them. Cursors that can't be compared are pulled one by one.
fn groups(cursors: &[Option<String>]) -> Vec<Group> {
    let places = |pulled: bool| -> Vec<usize> {
        (0..cursors.len())
            .filter(|place| cursors[*place].is_some() == pulled)
            .collect()
    };
    let mut groups = Vec::new();
    let (new, known) = (places(false), places(true));
    if !new.is_empty() {
        groups.push(Group {
            entities: new,
            cursor: None,
        });
    }
    let stored: Vec<_> = known.iter().map(|place| cursors[*place].clone()).collect();
    match lowest_cursor(&stored) {
        _ if known.is_empty() => {}
        Some(cursor) => groups.push(Group {
            entities: known,
            cursor: Some(cursor),
        }),
        None => groups.extend(known.into_iter().map(|place| Group {
            entities: vec![place],
            cursor: cursors[place].clone(),
        })),
    }
    groups
}

/// The lowest of several cursors. None when one is missing or they can't be compared.
fn lowest_cursor(cursors: &[Option<String>]) -> Option<String> {
    let mut lowest: Option<&String> = None;
    for cursor in cursors {
        let cursor = cursor.as_ref()?;
        let is_lower = match lowest {
            None => compare(cursor, cursor).is_some(),
            Some(lowest) => compare(cursor, lowest)? == Ordering::Less,
        };
        if is_lower {
            lowest = Some(cursor);
        }
    }
    lowest.cloned()
}

fn with_parameters(url: &str, parameters: &[(&str, String)]) -> String {
    let (base, fragment) = url.split_once('#').unwrap_or((url, ""));
    let mut full = base.to_owned();
    for (name, value) in parameters {
        full.push(if full.contains('?') { '&' } else { '?' });
        full.push_str(name);
        full.push('=');
        percent_encode(value, &mut full);
    }
    if !fragment.is_empty() {
        full.push('#');
        full.push_str(fragment);
    }
    full
}

/// Encodes everything but the unreserved characters of RFC 3986.
fn percent_encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cursor: Option<&str>) -> Watermelon {
        let config = Config::parse(r#"{"kind":"watermelon","url":"http://h/sync?app=1"}"#).unwrap();
        let entity = Entity {
            name: "a b".into(),
            columns: Vec::new(),
            integer_key: false,
        };
        Watermelon::new(&config, vec![entity], 3, vec![cursor.map(String::from)])
    }

    struct NoChanges;

    impl ChangeSink for NoChanges {
        fn upsert(
            &mut self,
            _: usize,
            _: super::super::wire::Announced,
            _: &super::super::wire::WireId<'_>,
            _: &[super::super::wire::Slot<'_>],
        ) -> Result<(), SyncError> {
            Ok(())
        }

        fn delete(
            &mut self,
            _: usize,
            _: &super::super::wire::WireId<'_>,
            _: bool,
        ) -> Result<(), SyncError> {
            Ok(())
        }
    }

    fn pull(machine: &mut Watermelon) {
        let body = br#"{"changes":{},"timestamp":20}"#;
        let end = machine
            .pulled(200, &mut body.as_slice(), &mut NoChanges)
            .unwrap();
        machine.applied(&end);
    }

    #[test]
    fn requests_have_the_documented_shape() {
        let mut machine = machine(None);
        let Step::Pull(request) = machine.next() else {
            panic!()
        };
        assert_eq!(
            request.url,
            "http://h/sync?app=1&last_pulled_at=null&schema_version=3&migration=null&tables=a%20b"
        );
        pull(&mut machine);
        assert_eq!(machine.next(), Step::Freeze);
        machine.frozen(2);
        let Step::Push(request) = machine.next() else {
            panic!()
        };
        assert_eq!(request.url, "http://h/sync?app=1&last_pulled_at=20");
        machine.pushed(204, b"").unwrap();
        assert_eq!(machine.next(), Step::Done);
    }

    #[test]
    fn nothing_pending_means_no_push() {
        let mut machine = machine(Some("5"));
        pull(&mut machine);
        machine.frozen(0);
        assert_eq!(machine.next(), Step::Done);
    }

    #[test]
    fn a_refused_push_is_repeated_once_but_not_after_401() {
        let mut machine = machine(None);
        pull(&mut machine);
        machine.frozen(1);
        assert!(!machine.push_refused(401));
        assert!(machine.push_refused(409));
        assert!(matches!(machine.next(), Step::Pull(_)));
        assert!(!machine.push_refused(409));
    }

    #[test]
    fn cursors() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            lowest_cursor(&[some("10"), some("9"), some("11")]),
            some("9")
        );
        assert_eq!(lowest_cursor(&[some("10"), None]), None);
        let mut machine = machine(Some("30"));
        let body = br#"{"changes":{},"timestamp":20}"#;
        let end = machine
            .pulled(200, &mut body.as_slice(), &mut NoChanges)
            .unwrap();
        assert_eq!(end.warnings.len(), 1);
    }

    #[test]
    fn what_was_never_pulled_is_pulled_on_its_own() {
        let some = |text: &str| Some(text.to_owned());
        let groups = groups(&[some("10"), None, some("9")]);
        let seen: Vec<_> = groups
            .iter()
            .map(|group| (group.cursor.as_deref(), group.entities.clone()))
            .collect();
        assert_eq!(seen, [(None, vec![1]), (Some("9"), vec![0, 2])]);
    }

    #[test]
    fn rejected_ids() {
        let mut machine = machine(None);
        let answer = machine.pushed(
            200,
            br#"{"experimentalRejectedIds":{"a b":["x",7],"z":["y"]}}"#,
        );
        let rejected = &answer.unwrap().rejected[0];
        assert!(rejected.contains("x") && rejected.contains("7") && rejected.len() == 2);
    }
}
