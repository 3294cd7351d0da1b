//! `GET /sync/download`: a page of the log.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::change::is_name;
use super::outcome::Fault;
use super::state::{Breakdown, Entry, State};
use super::transaction::Who;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    after: i64,
    limit: usize,
    schema: Option<String>,
    include_self: bool,
    /// 0: everything there is.
    until: i64,
}

impl Page {
    /// Reads the query, or says what is wrong with it. An empty parameter is none.
    pub fn read(query: &HashMap<String, String>) -> Result<Page, String> {
        let given = |name: &str| query.get(name).filter(|text| !text.is_empty());
        let number = |name: &str, default: i64| match given(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<i64>()
                .map_err(|_| format!("{name} must be an integer")),
        };
        let after = number("after", 0)?;
        if after < 0 {
            return Err("after must be >= 0".to_string());
        }
        let limit = number("limit", 100)?;
        if !(1..=1000).contains(&limit) {
            return Err("limit must be between 1 and 1000".to_string());
        }
        let schema = given("schema").cloned();
        if schema.as_deref().is_some_and(|name| !is_name(name)) {
            return Err("invalid schema name".to_string());
        }
        let until = number("until", 0)?;
        if until < 0 {
            return Err("until must be >= 0".to_string());
        }
        Ok(Page {
            after,
            limit: usize::try_from(limit).unwrap_or(1000),
            schema,
            include_self: given("include_self").is_some_and(|text| text == "true"),
            until,
        })
    }
}

/// The answer. `renamed`: tables that come under another name.
pub fn download(
    state: &State,
    who: &Who,
    page: &Page,
    renamed: &BTreeMap<String, String>,
) -> Result<String, Fault> {
    if state.breakdown == Breakdown::Log {
        let hides = state.options.defects.hides_breakdown && page.until == 0;
        let empty = || text(&[], false, page.after, 0);
        return hides.then(empty).ok_or(Fault::Failed);
    }
    let window = match page.until {
        0 => state.highest(&who.user),
        until => until,
    };
    let schema = &state.options.schema;
    let is_asked = |entry: &Entry| {
        entry.user == who.user
            && (page.include_self || entry.source != who.source)
            && page.schema.as_ref().is_none_or(|asked| asked == schema)
    };
    // A window that ends before the cursor holds nothing.
    let range = match page.after < window {
        true => Some(state.log.range(page.after + 1..=window)),
        false => None,
    };
    let mut entries = range
        .into_iter()
        .flatten()
        .filter(|(_, entry)| is_asked(entry));
    let shown: Vec<_> = entries.by_ref().take(page.limit).collect();
    let next = shown.last().map_or(page.after, |(number, _)| **number);
    let changes: Vec<String> = shown
        .iter()
        .map(|(number, entry)| change(schema, **number, entry, renamed))
        .collect();
    Ok(text(&changes, entries.next().is_some(), next, window))
}

fn text(changes: &[String], has_more: bool, next: i64, window: i64) -> String {
    format!(
        "{{\"changes\":[{}],\"has_more\":{has_more},\"next_after\":{next},\"window_until\":{window}}}",
        changes.join(",")
    )
}

fn change(schema: &str, number: i64, entry: &Entry, renamed: &BTreeMap<String, String>) -> String {
    let table = renamed.get(&entry.table).unwrap_or(&entry.table);
    let payload = match entry.deleted {
        true => String::new(),
        false => format!("\"payload\":{},", entry.payload),
    };
    let quoted = |text: &str| Value::from(text).to_string();
    format!(
        "{{\"server_id\":{number},\"schema\":{},\"table\":{},\"op\":\"{}\",\"pk\":{},{payload}\"server_version\":{},\
         \"deleted\":{},\"source_id\":{},\"source_change_id\":{},\"ts\":\"{}\"}}",
        quoted(schema),
        quoted(table),
        entry.op,
        quoted(&entry.pk),
        entry.version,
        entry.deleted,
        quoted(&entry.source),
        entry.change,
        entry.at
    )
}
