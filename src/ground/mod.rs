//! The ground: what every room may stand on, and what knows nothing of any of them.

mod complaint;
mod fault;
mod mask;
mod warning;

pub use complaint::complaint;
pub use fault::{BUSY, Class, SyncError};
pub use mask::{mask_row, masked};
pub use warning::{Warning, add_warning};
