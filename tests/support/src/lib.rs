//! What the tests share.
//!
//! | file | subject |
//! |---|---|
//! | `database.rs` | the built library, databases, a short way to ask |
//! | `scopes.rs`, `capture.rs` | scopes and statuses; tracked tables |
//! | `device.rs` | databases that sync, compared with the reference backend |
//! | `remote/` | servers of any kind and programs of any make, for promises that hold for all of them |
//! | `canned.rs` | a server that answers as it is ordered to, and keeps what it was asked |
//! | `client/` | plain HTTP for the tests of the reference backend itself |
//! | `host.rs` | life inside a host: every function in a call that works, and what must hold after it |
//! | `hostile.rs` | a file that an attacker edits, and the victim who opens it |
//! | `disk.rs` | a disk that fails on request |
//! | `fault/` | processes that die at a chosen step, and the model of what must survive |
//! | `page.rs` | SQL in pages of the documentation |
//! | `child.rs` | processes of their own for tests that need one |
//! | `work.rs` | work counted in steps of SQLite's machine, for clocks prove nothing |
//! | `held.rs`, `waiting.rs` | requests that wait; patience |
//! | `listener.rs`, `random.rs`, `sample.rs` | connections, random numbers, samples of long tests |

pub mod canned;
pub mod capture;
pub mod child;
pub mod client;
pub mod database;
pub mod device;
pub mod disk;
pub mod fault;
pub mod held;
pub mod host;
pub mod hostile;
pub mod listener;
pub mod page;
pub mod random;
pub mod remote;
pub mod sample;
pub mod scopes;
pub mod settings;
pub mod waiting;
pub mod work;

pub use canned::{Canned, Seen, closing, head, json_answer, status_answer};
pub use child::again;
pub use database::{
    World, ask, both, every_world, file_holds, library, load, load_from, refused, root, try_ask,
};
pub use device::{
    Device, SCHEMA, assert_equal, backend_rows, pushes, query, rows_of, seen, sync_on,
};
pub use held::{Held, hold, hold_at};
pub use listener::{Listener, NOBODY};
pub use random::Random;
pub use settings::{all_settings, enforced, everywhere};
pub use syncscope_backend::{self as backend, Backend};
pub use waiting::{PATIENCE, wait_for};
pub use work::work_of;
