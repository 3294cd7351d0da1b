//! `POST /sync/connect`: who brings the first rows of a user.

use serde_json::Value;

use super::answer::{Answer, Answered, invalid_request};
use super::request::object;
use super::spelling::Object;
use super::state::{Lease, Scope, Service, State, Who};
use crate::oversync::stamp;

pub fn connect(service: &Service, state: &mut State, who: &Who, body: &[u8]) -> Answered {
    let has_rows = has_rows(service, body)?;
    let scope = state.scope(&who.user);
    let tables = service.options.tables.len();
    match scope {
        Scope::Initialized => Ok(resolved("remote_authoritative")),
        Scope::Initializing(lease) if lease.source != who.source => {
            Ok(later(service, state, &lease))
        }
        _ if !has_rows => {
            state.user(&who.user, tables).scope = Scope::Initialized;
            Ok(resolved("initialize_empty"))
        }
        scope => {
            let id = match scope {
                Scope::Initializing(lease) => lease.id,
                _ => state.new_id(),
            };
            let lease = Lease {
                source: who.source.clone(),
                id,
                until: state.clock.now() + service.options.lifetimes.lease,
            };
            let answer = Object::new()
                .text("resolution", "initialize_local")
                .text("initialization_id", &lease.id)
                .text("lease_expires_at", &stamp::in_an_answer(lease.until));
            state.user(&who.user, tables).scope = Scope::Initializing(lease);
            Ok(Answer::ok(answer.end()))
        }
    }
}

fn has_rows(service: &Service, body: &[u8]) -> Answered<bool> {
    let wrong = || invalid_request("Failed to parse connect request");
    let request = object(body).ok_or_else(wrong)?;
    match request.get("has_local_pending_rows") {
        Some(Value::Bool(has)) => Ok(*has),
        None | Some(Value::Null) if service.options.defects.missing_flag_means_no_rows => Ok(false),
        _ => Err(wrong()),
    }
}

fn resolved(resolution: &str) -> Answer {
    Answer::ok(Object::new().text("resolution", resolution).end())
}

fn later(service: &Service, state: &State, lease: &Lease) -> Answer {
    let left = (lease.until - state.clock.now()).num_seconds().max(1);
    let answer = Object::new()
        .text("resolution", "retry_later")
        .text("lease_expires_at", &stamp::stored(lease.until))
        .number("retry_after_seconds", left)
        .end();
    Answer {
        retry_after: (!service.options.defects.no_retry_after).then_some(left),
        ..Answer::ok(answer)
    }
}
