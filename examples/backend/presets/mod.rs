//! The shapes in which clients speak to backends: five presets over the same data. Each refuses
//! what another one sends.
//!
//! | file | subject |
//! |---|---|
//! | `docs.rs`, `seed.rs`, `camel_query.rs`, `rpc.rs`, `seconds.rs` | one preset each |
//! | `incoming.rs` | the request they read |

mod camel_query;
mod docs;
mod incoming;
mod rpc;
mod seconds;
mod seed;

use axum::http::Method;

use super::faults::Kind;
use super::schema::Schema;
use super::switches::Switches;
use super::watermelon::{Answer, PullCall, PushCall, Taken};

pub use incoming::Incoming;

/// A shape of requests and answers, at addresses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    Docs,
    Seed,
    CamelQuery,
    Rpc,
    Seconds,
}

impl Preset {
    pub const ALL: [Preset; 5] = [
        Preset::Docs,
        Preset::Seed,
        Preset::CamelQuery,
        Preset::Rpc,
        Preset::Seconds,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Preset::Docs => "docs",
            Preset::Seed => "seed",
            Preset::CamelQuery => "camel_query",
            Preset::Rpc => "rpc",
            Preset::Seconds => "seconds",
        }
    }

    pub fn pull_path(self) -> &'static str {
        match self {
            Preset::Docs => "/sync",
            Preset::Seed => "/api/sync/pull",
            Preset::CamelQuery => "/camel/pull",
            Preset::Rpc => "/rpc/pull",
            Preset::Seconds => "/seconds/sync",
        }
    }

    pub fn push_path(self) -> &'static str {
        match self {
            Preset::Docs => "/sync",
            Preset::Seed => "/api/sync/push",
            Preset::CamelQuery => "/camel/push",
            Preset::Rpc => "/rpc/push",
            Preset::Seconds => "/seconds/sync",
        }
    }

    /// The preset that has this path, and what a request there is; `None` if its method has no
    /// meaning anywhere.
    pub fn at(method: &Method, path: &str) -> Option<(Preset, Kind)> {
        let by_method = match *method {
            Method::GET => Kind::Pull,
            Method::POST => Kind::Push,
            _ => return None,
        };
        let fits = |preset: &Preset| preset.pull_path() == path || preset.push_path() == path;
        let preset = Preset::ALL.into_iter().find(fits)?;
        let kind = if preset.pull_path() == preset.push_path() {
            by_method
        } else if preset.pull_path() == path {
            Kind::Pull
        } else {
            Kind::Push
        };
        Some((preset, kind))
    }

    /// Makes the backend behave as the preset says, whatever else is asked of it.
    pub fn adjust(self, switches: &mut Switches) {
        match self {
            Preset::Rpc => switches.all_updated = !switches.all_created,
            Preset::Seconds => {
                switches.seconds_clock = true;
                switches.zero_one = true;
            }
            Preset::Docs | Preset::Seed | Preset::CamelQuery => {}
        }
    }

    /// Reads a pull, or says what is wrong and what would be right.
    pub fn pull(self, incoming: &Incoming) -> Result<PullCall, String> {
        match self {
            Preset::Docs => docs::pull(incoming),
            Preset::Seed => seed::pull(incoming),
            Preset::CamelQuery => camel_query::pull(incoming),
            Preset::Rpc => rpc::pull(incoming),
            Preset::Seconds => seconds::pull(incoming),
        }
        .map_err(|message| self.explained(&message, Kind::Pull))
    }

    /// Reads a push, or says what is wrong and what would be right.
    pub fn push(self, incoming: &Incoming, schema: &Schema) -> Result<PushCall, String> {
        match self {
            Preset::Docs => docs::push(incoming, schema),
            Preset::Seed => seed::push(incoming),
            Preset::CamelQuery => camel_query::push(incoming),
            Preset::Rpc => rpc::push(incoming),
            Preset::Seconds => seconds::push(incoming, schema),
        }
        .map_err(|message| self.explained(&message, Kind::Push))
    }

    /// How a client learns that its push was accepted.
    pub fn pushed(self, taken: &Taken) -> Answer {
        match self {
            Preset::Docs | Preset::Seed | Preset::Rpc => docs::pushed(taken),
            Preset::CamelQuery => camel_query::pushed(taken),
            Preset::Seconds => seconds::pushed(taken),
        }
    }

    fn explained(self, message: &str, kind: Kind) -> String {
        let right = match (self, kind) {
            (Preset::Docs, Kind::Pull) => docs::PULL,
            (Preset::Docs, Kind::Push | Kind::Other) => docs::PUSH,
            (Preset::Seed, Kind::Pull) => seed::PULL,
            (Preset::Seed, Kind::Push | Kind::Other) => seed::PUSH,
            (Preset::CamelQuery, Kind::Pull) => camel_query::PULL,
            (Preset::CamelQuery, Kind::Push | Kind::Other) => camel_query::PUSH,
            (Preset::Rpc, Kind::Pull) => rpc::PULL,
            (Preset::Rpc, Kind::Push | Kind::Other) => rpc::PUSH,
            (Preset::Seconds, Kind::Pull) => seconds::PULL,
            (Preset::Seconds, Kind::Push | Kind::Other) => seconds::PUSH,
        };
        format!("preset {}: {message}; write {right}", self.name())
    }
}
