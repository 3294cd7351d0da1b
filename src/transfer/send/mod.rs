//! Sending: what is pending is frozen, goes out in parts, and is settled by what the server said.

pub mod brought;
pub mod circumstances;
pub mod counted;
pub mod family;
pub mod fate;
pub mod follow;
pub mod freeze;
pub mod frozen;
pub mod kept_back;
pub mod number;
pub mod order;
pub mod outbox;
pub mod reference;
mod referred;
pub mod rejected;
pub mod rekey;
pub mod renamed;
pub mod resend;
pub mod rewriter;
mod room;
pub mod sent_reference;
pub mod settle;
pub mod slices;
pub mod tied;
pub mod together;
pub mod topology;
pub mod unacknowledged;
