//! Where a run is with getting a new token.

use std::time::{Duration, Instant};

use crate::http::{HttpError, Outgoing, Renewal, Response};

/// Where a run is with getting a new token.
#[derive(Default)]
pub(super) enum Renewing {
    #[default]
    Not,
    /// Somebody else gets one, since then.
    Waits(Instant),
    /// It has been asked for.
    Asked(#[allow(dead_code, reason = "held until it is dropped")] Renewal),
    /// It was got once: that is enough.
    Done,
}

/// What an answer means for the token.
pub(super) enum Heard {
    /// Nothing.
    Plain(Result<Response, HttpError>),
    /// Nobody knows yet: look again after that time.
    Wait(Duration),
    /// A new one is asked for by this, before the answer counts.
    Ask(Outgoing),
    /// There is a new token: what was due is due again.
    Again,
}
