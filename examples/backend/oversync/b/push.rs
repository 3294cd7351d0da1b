//! Push sessions: opened, filled chunk by chunk, given up. What is in them is committed in
//! `commit.rs`.

use super::answer::{Answer, Answered, described, invalid_request};
use super::chunk;
use super::later;
use super::request::{list, object, text, whole};
use super::spelling::Object;
use super::state::{PushSession, Scope, Service, State, Who, initializing, uninitialized};
use crate::switches::Switches;

/// `POST /sync/push-sessions`.
pub fn create(service: &Service, state: &mut State, who: &Who, body: &[u8]) -> Answered {
    let wrong = || invalid_request("Failed to parse push session request");
    let request = object(body).ok_or_else(wrong)?;
    let id = whole(&request, "source_bundle_id").ok_or_else(wrong)?;
    let planned = whole(&request, "planned_row_count").ok_or_else(wrong)?;
    let initialization = text(&request, "initialization_id").ok_or_else(wrong)?;
    let initialization = Some(initialization).filter(|id| !id.is_empty());
    let request_hash = later::request_hash(service, &request)?;
    check_counts(service, id, planned)?;
    check_scope(service, state, who, initialization.as_deref())?;
    if let Some(answer) = replayed(service, state, who, id, planned)? {
        return Ok(answer);
    }
    let defects = &service.options.defects;
    let user = state.user(&who.user, service.options.tables.len());
    check_retired(user.replaced_by(&who.source), who)?;
    let next = user.next_id(&who.source);
    if id != next {
        let message = format!(
            "source {} for user {} expected next source_bundle_id {next}, got {id}",
            who.source, who.user
        );
        return Err(Answer::error(409, "source_sequence_out_of_order", &message));
    }
    let now = state.clock.now();
    state.pushes.retain(|_, session| {
        let is_same = session.who.user == who.user
            && session.who.source == who.source
            && session.source_bundle_id == id;
        let is_forgotten = defects.forgets_expired && session.expires <= now;
        !is_same && !is_forgotten
    });
    renew_lease(service, state, &who.user);
    let push_id = state.new_id();
    let session = PushSession {
        who: who.clone(),
        source_bundle_id: id,
        planned,
        initialization,
        rows: Vec::new(),
        expires: now + service.options.lifetimes.push_session,
        request_hash: request_hash.clone(),
    };
    state.pushes.insert(push_id.clone(), session);
    let answer = Object::new()
        .text("push_id", &push_id)
        .text("status", "staging")
        .number("planned_row_count", planned);
    Ok(Answer::ok(
        later::echoed(answer, request_hash.as_deref()).end(),
    ))
}

fn check_counts(service: &Service, id: i64, planned: i64) -> Answered<()> {
    if id <= 0 {
        return Err(invalid_session("source_bundle_id must be > 0"));
    }
    if planned <= 0 {
        return Err(invalid_session("planned_row_count must be > 0"));
    }
    let limit = service.options.limits.rows_per_bundle;
    match limit.filter(|_| !service.options.defects.bundle_limit_is_a_word) {
        Some(limit) if planned > limit => Err(invalid_session(&format!(
            "planned_row_count {planned} exceeds max_rows_per_bundle {limit}"
        ))),
        _ => Ok(()),
    }
}

fn invalid_session(message: &str) -> Answer {
    Answer::error(400, "push_session_invalid", message)
}

fn check_scope(service: &Service, state: &State, who: &Who, id: Option<&str>) -> Answered<()> {
    let stale = |message| Err(Answer::error(409, "initialization_stale", message));
    match (state.scope(&who.user), id) {
        (Scope::Initialized, None) => Ok(()),
        (Scope::Initialized, Some(_)) => Err(invalid_session(
            "initialization_id must be absent once the scope is initialized",
        )),
        (Scope::Uninitialized, None) => Err(uninitialized(&who.user)),
        (Scope::Uninitialized, Some(_)) => Err(expired_lease()),
        (Scope::Initializing(lease), None) => {
            if service.options.defects.push_without_id_is_400 {
                return Err(invalid_session(
                    "initialization_id is required while the scope is initializing",
                ));
            }
            Err(initializing(&who.user, &lease))
        }
        (Scope::Initializing(lease), Some(_)) if lease.source != who.source => {
            stale("source does not own the active initialization lease")
        }
        (Scope::Initializing(lease), Some(id)) if lease.id != id => {
            stale("initialization_id does not match the active initialization lease")
        }
        (Scope::Initializing(_), Some(_)) => Ok(()),
    }
}

fn expired_lease() -> Answer {
    let message = "initialization lease is no longer active";
    Answer::error(410, "initialization_expired", message)
}

/// What is said about a tuple that is known.
fn replayed(
    service: &Service,
    state: &mut State,
    who: &Who,
    id: i64,
    planned: i64,
) -> Answered<Option<Answer>> {
    let defects = &service.options.defects;
    let Some(user) = state.users.get(&who.user) else {
        return Ok(None);
    };
    if !defects.retired_may_replay {
        check_retired(user.replaced_by(&who.source), who)?;
    }
    let Some((seq, bundle)) = user.committed(&who.source, id) else {
        return Ok(None);
    };
    let Some(bundle) = bundle.filter(|_| seq > user.floor) else {
        let message = format!(
            "source tuple ({}, {id}) for user {} is older than retained duplicate history; max committed source_bundle_id is {}",
            who.source,
            who.user,
            user.next_id(&who.source) - 1
        );
        state.pruned_errors += 1;
        return Err(Answer::error(409, "history_pruned", &message));
    };
    if !defects.replay_ignores_count && planned != bundle.rows.len() as i64 {
        let message = format!(
            "source {} for user {} committed {} rows under source_bundle_id {id}, not {planned}",
            who.source,
            who.user,
            bundle.rows.len()
        );
        return Err(Answer::error(409, "source_sequence_changed", &message));
    }
    let answer = Object::new().text("status", "already_committed");
    let answer = later::echoed(bundle.described(answer), bundle.request_hash.as_deref());
    let answer = Answer::ok(answer.end());
    state.replays += 1;
    Ok(Some(answer))
}

/// 409 for a source that was replaced by another.
pub fn check_retired(replaced_by: Option<&str>, who: &Who) -> Answered<()> {
    let Some(new) = replaced_by else {
        return Ok(());
    };
    let message = format!(
        "source {} for user {} was retired and replaced by {new}",
        who.source, who.user
    );
    let answer = described("source_retired", &message)
        .text("source_id", &who.source)
        .text("replaced_by_source_id", new);
    Err(Answer::json(409, answer.end()))
}

fn renew_lease(service: &Service, state: &mut State, user: &str) {
    let until = state.clock.now() + service.options.lifetimes.lease;
    if let Some(Scope::Initializing(lease)) = state.users.get_mut(user).map(|user| &mut user.scope)
    {
        lease.until = until;
    }
}

/// `POST /sync/push-sessions/{id}/chunks`.
pub fn fill(
    service: &Service,
    state: &mut State,
    who: &Who,
    id: &str,
    body: &[u8],
    switches: &Switches,
) -> Answered {
    let wrong = || invalid_request("Failed to parse push chunk request");
    let request = object(body).ok_or_else(wrong)?;
    let start = whole(&request, "start_row_ordinal").ok_or_else(wrong)?;
    let rows = list(&request, "rows").ok_or_else(wrong)?;
    let rows = chunk::typed(rows).ok_or_else(wrong)?;
    if start < 0 {
        return Err(chunk::invalid("start_row_ordinal must be >= 0"));
    }
    let rows = chunk::checked(service, &rows, switches)?;
    let session = open(service, state, who, id)?;
    check_lease(service, state, session)?;
    let expected = session.rows.len() as i64;
    if start != expected {
        let message =
            format!("push session {id} expected start_row_ordinal {expected}, got {start}");
        return Err(Answer::error(409, "push_chunk_out_of_order", &message));
    }
    if expected + rows.len() as i64 > session.planned {
        return Err(chunk::invalid("chunk exceeds planned_row_count"));
    }
    let is_initializing = session.initialization.is_some();
    let user = session.who.user.clone();
    let expires = state.clock.now() + service.options.lifetimes.push_session;
    let mut next = expected;
    if let Some(session) = state.pushes.get_mut(id) {
        session.rows.extend(rows);
        session.expires = expires;
        next = session.rows.len() as i64;
    }
    if is_initializing {
        renew_lease(service, state, &user);
    }
    let answer = Object::new()
        .text("push_id", id)
        .number("next_expected_row_ordinal", next);
    Ok(Answer::ok(answer.end()))
}

/// `DELETE /sync/push-sessions/{id}`.
pub fn give_up(service: &Service, state: &mut State, who: &Who, id: &str) -> Answered {
    open(service, state, who, id)?;
    state.pushes.remove(id);
    Ok(Answer::done())
}

/// The session of that id, if it is there, alive and this client's.
pub fn open<'a>(
    service: &Service,
    state: &'a State,
    who: &Who,
    id: &str,
) -> Answered<&'a PushSession> {
    let Some(session) = state.pushes.get(id) else {
        let message = format!("push session {id} was not found");
        return Err(Answer::error(404, "push_session_not_found", &message));
    };
    let is_mine = session.who.user == who.user
        && (service.options.defects.any_source_may_fill || session.who.source == who.source);
    if !is_mine {
        let message = format!("push session {id} does not belong to the authenticated user");
        return Err(Answer::error(403, "push_session_forbidden", &message));
    }
    if session.expires <= state.clock.now() {
        let message = format!("push session {id} has expired; start a new push session");
        return Err(Answer::error(410, "push_session_expired", &message));
    }
    Ok(session)
}

/// Whether a session that brings the first rows still may.
pub fn check_lease(service: &Service, state: &State, session: &PushSession) -> Answered<()> {
    let Some(id) = &session.initialization else {
        return Ok(());
    };
    match state.scope(&session.who.user) {
        Scope::Initializing(lease) if lease.id == *id => Ok(()),
        Scope::Uninitialized if !service.options.defects.late_lease_is_stale => {
            Err(expired_lease())
        }
        _ => {
            let message = "scope is no longer initializing";
            Err(Answer::error(409, "initialization_stale", message))
        }
    }
}
