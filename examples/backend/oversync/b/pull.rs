//! `GET /sync/pull` and `GET /sync/committed-bundles/{seq}/rows`: what was committed.

use std::collections::BTreeMap;

use super::answer::{Answer, Answered, invalid_request, query_cursor, query_number};
use super::bundle::Bundle;
use super::later;
use super::spelling::{Object, array};
use super::state::{Service, State, User, Who};
use crate::switches::Switches;

const INVALID: &str = "invalid_request";
const DEFAULT_BUNDLES: i64 = 1000;
const DEFAULT_ROWS: i64 = 1000;

pub fn pull(
    service: &Service,
    state: &mut State,
    who: &Who,
    query: &[(String, String)],
    switches: &Switches,
) -> Answered {
    let options = &service.options;
    let after = query_cursor(query, "after_bundle_seq", INVALID)?.unwrap_or(0);
    let limit = options.limits.bundles_per_pull;
    let most = query_number(query, "max_bundles", INVALID)?.unwrap_or(DEFAULT_BUNDLES.min(limit));
    if !(1..=limit).contains(&most) {
        return Err(invalid_request(&format!(
            "max_bundles must be between 1 and {limit}"
        )));
    }
    let target = query_cursor(query, "target_bundle_seq", INVALID)?.unwrap_or(0);
    let user = state.readable(who, options)?;
    let (head, floor) = (user.head, user.floor);
    later::check_checkpoint(service, after, head)?;
    let is_floor_gone = options.defects.floor_is_pruned && !later::is_on(service);
    let stable = match target {
        0 => head,
        target if target > head && !options.defects.echoes_target => head,
        target => target,
    };
    if after > 0 && floor > 0 {
        // Above the head it is the head that is looked for.
        state.check_floor(&who.user, after.min(head), is_floor_gone)?;
    }
    if floor > 0 {
        state.check_floor(&who.user, stable, is_floor_gone)?;
    }
    let is_partial = options.defects.partial_history && !later::is_on(service);
    if after == 0 && floor > 0 && !is_partial {
        state.check_floor(&who.user, 0, true)?;
    }
    let user = state.readable(who, options)?;
    let first = after.max(floor) + 1;
    let mut wanted = Vec::new();
    let mut has_more = false;
    if first <= stable {
        for bundle in user.bundles.range(first..=stable).map(|(_, bundle)| bundle) {
            if wanted.len() as i64 == most {
                has_more = true;
                break;
            }
            wanted.push(bundle_json(service, bundle, &switches.rename_tables));
        }
    }
    let answer = Object::new()
        .number("stable_bundle_seq", stable)
        .raw("bundles", &array(wanted))
        .flag("has_more", has_more);
    Ok(Answer::ok(answer.end()))
}

/// A bundle as it is pulled, under the names that a fault gives to tables.
fn bundle_json(service: &Service, bundle: &Bundle, names: &BTreeMap<String, String>) -> String {
    let schema = &service.options.schema;
    if names.is_empty() {
        return bundle.in_a_pull(schema);
    }
    let mut renamed = bundle.clone();
    for row in &mut renamed.rows {
        if let Some(name) = names.get(&row.table) {
            row.table.clone_from(name);
        }
    }
    renamed.hash = later::bundle_hash(service, &renamed.rows);
    renamed.in_a_pull(schema)
}

pub fn committed_rows(
    service: &Service,
    state: &mut State,
    who: &Who,
    seq: &str,
    query: &[(String, String)],
) -> Answered {
    const INVALID: &str = "committed_bundle_chunk_invalid";
    let wrong = |message: &str| Answer::error(400, INVALID, message);
    let seq: i64 = seq
        .parse()
        .map_err(|_| wrong("bundle_seq must be an integer"))?;
    if seq <= 0 {
        return Err(wrong("bundle_seq must be > 0"));
    }
    let after = query_cursor(query, "after_row_ordinal", INVALID)?.unwrap_or(-1);
    let limit = service.options.limits.rows_per_committed_chunk;
    let most = page_size(service, query, limit, INVALID)?;
    let missing = || {
        let message = format!("committed bundle {seq} was not found");
        Answer::error(404, "committed_bundle_not_found", &message)
    };
    let Some(user) = state.users.get(&who.user) else {
        if service.options.defects.unknown_user_is_500 {
            let message = "Failed to fetch committed bundle rows";
            return Err(Answer::error(500, "committed_bundle_rows_failed", message));
        }
        return Err(missing());
    };
    if seq > user.head {
        return Err(missing());
    }
    state.check_floor(&who.user, seq, true)?;
    let bundle = bundle(state.users.get(&who.user), seq).ok_or_else(missing)?;
    let start = usize::try_from(after + 1)
        .unwrap_or(0)
        .min(bundle.rows.len());
    let end = (start + most).min(bundle.rows.len());
    let rows = bundle.rows[start..end]
        .iter()
        .map(|row| row.json(&service.options.schema));
    let next = if start == end { after } else { end as i64 - 1 };
    let answer = bundle.described(Object::new());
    let answer = later::echoed(answer, bundle.request_hash.as_deref())
        .raw("rows", &array(rows))
        .number("next_row_ordinal", next)
        .flag("has_more", end < bundle.rows.len());
    Ok(Answer::ok(answer.end()))
}

fn bundle(user: Option<&User>, seq: i64) -> Option<&Bundle> {
    user?.bundles.get(&seq)
}

/// `max_rows` of a page, cut down to the limit.
pub fn page_size(
    service: &Service,
    query: &[(String, String)],
    limit: i64,
    error: &str,
) -> Answered<usize> {
    let asked = query_number(query, "max_rows", error)?.unwrap_or(DEFAULT_ROWS.min(limit));
    if asked <= 0 {
        return Err(Answer::error(400, error, "max_rows must be > 0"));
    }
    if asked > limit && !service.options.defects.caps_silently {
        return Err(Answer::error(
            400,
            error,
            &format!("max_rows must be at most {limit}"),
        ));
    }
    Ok(usize::try_from(asked.min(limit)).unwrap_or(usize::MAX))
}
