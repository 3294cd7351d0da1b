//! Functions that send changes: those of the same collection as the function that reads.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::fields::Fields;
use super::operation::{Body, Index, Operation, Place, item_of};
use super::reading::{Reading, reading};
use super::request::{Request, checked};
use super::text::shown;
use crate::providers::credential::is_credential;
use crate::providers::imported::{Made, Omitted};

/// One function that sends.
pub struct Change {
    pub number: usize,
    pub made: Made,
    pub notes: Vec<Omitted>,
}

/// Those of one function that reads.
pub struct Changes {
    /// As `writes` takes it.
    pub named: Json,
    pub functions: Vec<Change>,
}

/// The functions that send changes of what a function reads; none where there are none.
pub fn of(
    operation: &Operation,
    read: &Reading<'_>,
    prefix: &str,
    index: &Index,
    operations: &[Operation],
) -> Option<Changes> {
    if !is_collection(operation) {
        return None;
    }
    let mut named = Map::new();
    let mut functions = Vec::new();
    for (word, wanted) in wanted(operation, index) {
        let usable = wanted.into_iter().find_map(|number| {
            let change = &operations[number];
            let (made, notes) = sending(change, word, read, prefix).ok()?;
            Some((number, made, notes))
        });
        let Some((number, made, notes)) = usable else {
            continue;
        };
        let change = &operations[number];
        named.insert(word.into(), change.id.as_str().into());
        if word == "create" {
            if mints(change, &read.key) {
                named.insert("mints".into(), true.into());
            }
            let mut parameters = change.parameters.iter();
            let header = parameters.find(|one| {
                one.place == Place::Header && one.name.eq_ignore_ascii_case("idempotency-key")
            });
            if let Some(header) = header {
                named.insert("idempotency".into(), header.name.as_str().into());
            }
        }
        let what = change.place();
        functions.push(Change {
            number,
            made,
            notes: notes
                .into_iter()
                .map(|why| Omitted {
                    what: what.clone(),
                    why,
                })
                .collect(),
        });
    }
    (!functions.is_empty()).then_some(Changes {
        named: Json::Object(named),
        functions,
    })
}

/// Whether an operation gives out the rows of a collection.
fn is_collection(operation: &Operation) -> bool {
    let answer = operation.answer.as_ref();
    operation.method == "GET"
        && answer.is_ok_and(|answer| {
            answer.is_list || (answer.row.is_none() && operation.item().is_none())
        })
}

/// The operations that may send each kind of change, the best first.
fn wanted(reading: &Operation, index: &Index) -> [(&'static str, Vec<usize>); 3] {
    let collection = reading.address();
    let item = format!("{collection}/{{}}");
    let at = |address: &str, method| index.get(&(address.to_owned(), method)).copied();
    let all = |found: [Option<usize>; 2]| found.into_iter().flatten().collect();
    [
        ("create", all([at(&collection, "POST"), None])),
        ("update", all([at(&item, "PATCH"), at(&item, "PUT")])),
        ("delete", all([at(&item, "DELETE"), None])),
    ]
}

/// Whether the backend names new rows itself: it takes none of its keys.
fn mints(create: &Operation, key: &str) -> bool {
    match &create.body {
        Body::Json(Some(fields)) => {
            !fields.has(key) || fields.read_only.iter().any(|name| name == key)
        }
        _ => false,
    }
}

fn sending(
    change: &Operation,
    word: &str,
    reading: &Reading<'_>,
    prefix: &str,
) -> Result<(Made, Vec<String>), String> {
    let mut notes = Vec::new();
    let mut request = Request::new(change, prefix);
    if word != "create" {
        let item = change.item().unwrap_or_default();
        request.fill(item, "{key}");
    }
    for parameter in &change.parameters {
        let is_item = word != "create" && Some(parameter.name.as_str()) == change.item();
        let is_key = parameter.name.eq_ignore_ascii_case("idempotency-key");
        if (parameter.place == Place::Path && is_item)
            || (parameter.place == Place::Header && is_key)
        {
            continue;
        }
        let is_needed = parameter.is_required || parameter.value.is_some();
        if parameter.place == Place::Header && parameter.name.eq_ignore_ascii_case("if-match") {
            let why = "it takes If-Match: give headers {\"If-Match\":\"{row:COLUMN}\"} if a column has the version";
            notes.push(why.to_owned());
        } else if parameter.place == Place::Path || is_needed {
            let is_known =
                parameter.value.is_some() || reading.parameters.contains(&parameter.name);
            let is_ours = parameter.place == Place::Header && is_credential(&parameter.name);
            if !is_known && !is_ours {
                return Err(format!(
                    "it needs the parameter {}, which the function that reads has not; declare it with sync_function",
                    shown(&parameter.name)
                ));
            }
            request.add(parameter, &mut notes)?;
        }
    }
    let mut definition = Map::new();
    definition.insert("method".into(), change.method.into());
    request.write(&mut definition);
    if word != "delete" {
        match &change.body {
            Body::Nothing => return Err("it takes no body, so no row can be sent with it".into()),
            Body::Other(kind) => {
                return Err(format!(
                    "its body is {kind}, and rows are sent as JSON objects"
                ));
            }
            Body::Json(Some(fields)) => {
                if let Some(body) = body(change, word, fields, reading) {
                    definition.insert("body".into(), body);
                }
            }
            Body::Json(None) => {}
        }
    }
    let made = checked(&change.id, definition)?;
    Ok((made, notes))
}

/// The body, where the usual one would not be taken: the backend wants the key in it, or refuses members that it does not know.
fn body(change: &Operation, word: &str, fields: &Fields, reading: &Reading<'_>) -> Option<Json> {
    let is_update = word == "update";
    let wants_key = is_update && fields.required.contains(&reading.key);
    let row = reading.answer.row.as_ref();
    let is_strange = |row: &Fields| {
        row.names
            .iter()
            .any(|name| !fields.has(name) && *name != reading.key)
    };
    let is_refused = fields.is_closed && change.method != "PATCH" && row.is_none_or(is_strange);
    if !wants_key && !is_refused {
        return None;
    }
    let is_minted = !is_update && mints(change, &reading.key);
    let sent = fields.names.iter().filter(|name| {
        let is_key = **name == reading.key;
        (!fields.read_only.contains(name) || (is_key && wants_key))
            && !(is_key && is_minted)
            && !name.contains(['{', '}'])
    });
    let members = sent.map(|name| {
        let place = match *name == reading.key {
            true => "{key}".to_owned(),
            false => format!("{{row:{name}}}"),
        };
        (name.clone(), Json::from(place))
    });
    Some(Json::Object(members.collect()))
}

/// What an operation would do for the rows of a function that reads.
pub struct Role {
    reading: usize,
    word: &'static str,
    /// Those that do the same.
    rivals: Vec<usize>,
}

/// The roles of the operations that have one.
pub fn roles(operations: &[Operation], index: &Index) -> HashMap<usize, Role> {
    let mut roles = HashMap::new();
    for (reading, operation) in operations.iter().enumerate() {
        if !is_collection(operation) {
            continue;
        }
        for (word, numbers) in wanted(operation, index) {
            for number in &numbers {
                roles.entry(*number).or_insert_with(|| Role {
                    reading,
                    word,
                    rivals: numbers.clone(),
                });
            }
        }
    }
    roles
}

/// Why an operation that is no GET became no function.
pub fn why_not(
    operation: &Operation,
    role: Option<&Role>,
    prefix: &str,
    (index, operations): (&Index, &[Operation]),
    claimed: &HashSet<usize>,
) -> String {
    let Some(role) = role else {
        let rows = operation.answer.as_ref().is_ok_and(|answer| answer.is_list);
        return match operation.method == "POST" && rows {
            true => "it gives out rows by POST; declare it with sync_function, with the body that it wants",
            false => {
                "it creates, updates or deletes no row of a collection that a GET of the document gives out; if it does, declare \
                 it with sync_function and name it in writes"
            }
        }
        .into();
    };
    if let Some(rival) = role.rivals.iter().find(|rival| claimed.contains(rival)) {
        return format!(
            "{} sends the same kind of change",
            operations[*rival].place()
        );
    }
    let source = &operations[role.reading];
    let item = item_of(source, index, operations);
    let sends =
        reading(source, item, prefix).map(|read| sending(operation, role.word, &read, prefix));
    match sends {
        Ok(Err(why)) => why,
        Ok(Ok(_)) | Err(_) => {
            format!(
                "{} gives no function whose rows it could send",
                source.place()
            )
        }
    }
}
