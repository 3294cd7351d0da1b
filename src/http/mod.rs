//! The one room with sockets: a request goes in, a complete answer or a classified error comes out.
//!
//! [`send`] does everything a sync must not think about: deadlines, retries with backoff, redirects,
//! decompression, size limits, cancelling, and keeping credentials at the origin they belong to.
//! It knows no SQL and no sync protocol; what a status or a body *means* is decided above.
//!
//! | file | subject |
//! |---|---|
//! | `client` | [`send`]: the loop over attempts |
//! | `exchange` | one attempt: request out, redirects, answer in |
//! | `watch` | runs an attempt so that the caller can give up at any moment |
//! | `listen`, `events` | an answer that goes on for as long as there may be news |
//! | `agents` | connections kept between requests |
//! | `prepare` | what every request has besides what its provider says |
//! | `request`, `plan`, `outgoing`, `response`, `spool` | what goes in, how it is checked, how its body leaves, what comes out, bodies of any size |
//! | `body` | reading an answer: gzip, limits, truncation |
//! | `meter` | how many bytes have gone out and come in |
//! | `policy`, `retry`, `pace` | timeouts and limits; when to try again and after how long; how often a server is asked |
//! | `origin`, `url`, `redirect` | where a request may go |
//! | `places` | places for secrets in headers and bodies |
//! | `logins` | tokens that were got by logging in, for all connections of the process |
//! | `secret`, `secrets`, `redact` | a token bound to an origin; all of them by name; blacking them out of messages |
//! | `error`, `explain` | what can go wrong, in words a user can act on |

mod agents;
mod body;
mod client;
mod error;
mod events;
mod exchange;
mod explain;
mod listen;
pub mod logins;
mod meter;
mod origin;
mod outgoing;
mod pace;
mod places;
mod plan;
mod policy;
mod prepare;
mod redact;
mod redirect;
mod request;
mod response;
mod retry;
mod secret;
mod secrets;
mod spool;
mod url;
mod watch;

pub use agents::close_idle;
pub use client::{send, send_metered};
pub use error::{HttpError, Kind, Wait};
pub use listen::{Heard, Silence, listen};
pub use meter::{Meter, Transfer};
pub use origin::Origin;
pub use places::secrets_in;
pub use plan::{check, header_name};
pub use policy::Policy;
pub use prepare::{
    Credentials, Outgoing, SentAs, SessionToken, names_in, plain_headers, prepare, shape_of,
    with_names, without_credentials,
};
pub use redact::Redactor;
#[cfg(fuzzing)]
pub use redirect::follow;
pub use request::{Body, Method, Request};
pub use response::{Headers, Response};
pub use retry::luck;
pub use secret::{Secret, SecretError, check_token};
pub use secrets::Secrets;
pub use spool::{Spool, SpoolReader, SpoolWriter};
pub use url::{check as check_url, redacted};
