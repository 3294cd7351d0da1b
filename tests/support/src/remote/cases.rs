//! A test for every kind of server and every transport.

use std::panic::resume_unwind;

use super::bundles;
use super::changes;
use super::client::Client;
use super::file;
use super::server::{Remote, Wanted};
use super::transport::{Transport, python};
use super::watermelon;
use crate::device::SCHEMA;

/// A kind of server.
pub struct Kind {
    pub name: &'static str,
    pub start: fn(&Wanted<'_>) -> Box<dyn Remote>,
    /// Tests take long enough: each is run over one transport, syncscope's own where that is one, unless the kind is asked
    /// for by name.
    pub once: bool,
    /// It is a file: nobody sends requests, and tests of them end where they say so.
    pub is_file: bool,
}

impl Kind {
    /// Those of some transports that it is tried over.
    fn over<'t>(&self, transports: &'t [Transport], only: &str) -> &'t [Transport] {
        if self.is_file {
            // What would be a host program's is none.
            let own = transports.iter().position(|one| *one == Transport::Http);
            return own.map_or(&[], |own| &transports[own..=own]);
        }
        let own = transports.iter().position(|one| *one == Transport::Http);
        match (self.once && only.is_empty(), own) {
            (false, _) => transports,
            (true, Some(own)) => &transports[own..=own],
            (true, None) => &transports[transports.len() - 1..],
        }
    }
}

/// The kinds that the general promises are tried with. Another one needs an implementation of [`Remote`]
/// and a line here.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "watermelon",
        start: watermelon::docs,
        once: false,
        is_file: false,
    },
    Kind {
        name: "watermelon (camel_query)",
        start: watermelon::camel_query,
        once: false,
        is_file: false,
    },
    Kind {
        name: "oversync a",
        start: changes::start,
        once: true,
        is_file: false,
    },
    Kind {
        name: "oversync b",
        start: bundles::start,
        once: false,
        is_file: false,
    },
    Kind {
        name: "oversync b (later)",
        start: bundles::start_later,
        once: true,
        is_file: false,
    },
    Kind {
        name: "sqlite",
        start: file::start,
        once: true,
        is_file: true,
    },
];

/// One kind over one transport.
pub struct Case {
    pub kind: &'static Kind,
    pub transport: Transport,
}

impl Case {
    /// A server with the tables of [`SCHEMA`].
    pub fn server(&self) -> Box<dyn Remote> {
        self.server_of(SCHEMA)
    }

    /// A server with other tables.
    pub fn server_of(&self, schema: &str) -> Box<dyn Remote> {
        (self.kind.start)(&Wanted {
            schema,
            ..Wanted::default()
        })
    }

    /// One that wants this token.
    pub fn guarded(&self, token: &str) -> Box<dyn Remote> {
        (self.kind.start)(&Wanted {
            schema: SCHEMA,
            token: Some(token),
        })
    }

    pub fn client<'a>(&self, remote: &'a dyn Remote) -> Client<'a> {
        Client::new(remote, self.transport)
    }
}

/// Runs a test for every kind over every transport, all at once. The name of a thread that panics is the
/// case's.
pub fn everywhere(test: impl Fn(&Case) + Sync) {
    everywhere_over(&Transport::ALL, test);
}

/// The same where there is a file, and so a second connection.
pub fn everywhere_in_a_file(test: impl Fn(&Case) + Sync) {
    everywhere_over(&[Transport::Http, Transport::Python], test);
}

/// The same for some transports; those of a host program are left out where there is no Python.
pub fn everywhere_over(transports: &[Transport], test: impl Fn(&Case) + Sync) {
    let mut cases = Vec::new();
    // For whoever works on one of them: SYNCSCOPE_KIND=oversync, say.
    let only = std::env::var("SYNCSCOPE_KIND").unwrap_or_default();
    for kind in KINDS.iter().filter(|kind| kind.name.contains(&only)) {
        for transport in kind.over(transports, &only) {
            if !transport.is_host() || python().is_some() {
                cases.push(Case {
                    kind,
                    transport: *transport,
                });
            }
        }
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = cases
            .iter()
            .map(|case| {
                std::thread::Builder::new()
                    .name(format!("{} over {:?}", case.kind.name, case.transport))
                    .spawn_scoped(scope, || test(case))
                    .expect("a thread")
            })
            .collect();
        for thread in threads {
            if let Err(panic) = thread.join()
                && !panic.is::<file::Skipped>()
            {
                resume_unwind(panic);
            }
        }
    });
}
