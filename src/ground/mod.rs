//! The ground: what every room may stand on, and what knows nothing of any of them.

mod complaint;
mod fault;
mod mask;

pub use complaint::complaint;
pub use fault::{BUSY, Class, SyncError};
pub use mask::{mask_message, mask_row, masked};
