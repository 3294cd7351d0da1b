//! Rows of the server that the file refuses for now: kept whole in `_syncHeld`, and tried again with every answer.
//!
//! An answer in which a row is refused is applied again from its beginning, with that row going straight to
//! `_syncHeld`: whatever a failed attempt has touched is as it was. Without refused rows this costs nothing.
//!
//! | file | subject |
//! |---|---|
//! | `refusals` | which rows an answer can't have, found while it is applied |
//! | `reason` | why a row was refused |
//! | `keep` | the table: keeping rows, forgetting them, reading them back |
//! | `count` | how many there are, and the warnings that say so |
//! | `foreign` | references that are broken at the end of an answer, and the rows to blame |
//! | `trial` | the rows to blame where their own references don't say |
//! | `fit` | which held rows have all that they refer to by now |
//! | `inserts` | rows made here under the key of a row that is held |
//! | `documents` | held rows of document tables: what a response says of rows goes for these too |
//! | `clash` | rows made here that a row of the server takes the place of |

pub mod clash;
pub mod count;
pub mod documents;
pub mod fit;
pub mod foreign;
pub mod inserts;
pub mod keep;
pub mod reason;
pub mod refusals;
pub mod trial;

pub use keep::{HeldRow, Holder, What};
pub use reason::{Class, Reason};
pub use refusals::Refusals;
