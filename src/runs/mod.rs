//! One run: begin, go on step by step, take each answer in one transaction, finish; its record, report and log.
//!
//! | file | subject |
//! |---|---|
//! | `run` | the run as a value: takes what has happened, hands out what is due |
//! | `begin`, `gate`, `unchanged` | how it begins; what is refused before; what must still hold later |
//! | `ask`, `take`, `parcels` | handing out a request, taking its answer, freezing what is sent |
//! | `refresh`, `renewing` | the token of a run: got by logging in, before it ends, and where the backend no longer knows it |
//! | `refused` | a push that the server refuses as a whole, cut up until it takes what it can |
//! | `finish`, `report`, `outcome`, `diary`, `notes` | its end, its answer, its log |
//! | `progress` | what is shown of it while it is running |
//! | `drive`, `host`, `file` | who sends its requests: the HTTP room, or the host program; what is asked of another file |
//! | `waiting`, `peers`, `giving_up` | what would be sent; how things stand with each provider; giving it up |
//! | `detach`, `uninstall`, `left` | leaving a provider: log-out, another user; leaving syncscope; what is not settled then |
//! | `news` | where news of a provider can be listened to |
//! | `wait` | waiting for a run, or until all is here and there |
//! | `check`, `compare` | comparing in place of applying |

mod ask;
mod begin;
mod bystanders;
mod check;
mod compare;
mod detach;
mod diary;
mod drive;
mod file;
mod finish;
pub mod gate;
mod giving_up;
mod groups;
pub mod host;
mod left;
pub mod news;
mod notes;
mod outcome;
mod parcels;
mod patience;
mod peers;
pub mod progress;
mod query;
mod questions;
pub mod redeclare;
mod refresh;
mod refused;
mod renewing;
mod report;
mod run;
mod silent;
mod take;
mod together;
mod trial;
mod unchanged;
mod uninstall;
mod wait;
mod waiting;

pub use begin::{call_of, entities_of, is_only};
pub use check::check;
pub use detach::{Leaving, answered, detach};
pub use drive::{complete, run, run_until};
pub use giving_up::{Named, discard, retry};
pub use peers::peers;
pub use questions::{has_pending, is_stale};
pub use run::Run;
pub use trial::{Trial, try_function};
pub use uninstall::{leave_feed, uninstall};
pub use wait::{LONGEST, unknown, wait_for_run, wait_until_current};
pub use waiting::{Waiting, anything, capture_existing, untrack};
