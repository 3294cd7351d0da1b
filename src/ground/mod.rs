//! The ground: what every room may stand on, and what knows nothing of any of them.

mod affinity;
mod complaint;
mod fault;
mod json;
pub mod key;
mod mask;
mod nearest;
mod number;
mod quoted;
mod url;
pub mod uuid;
mod warning;

pub use affinity::Affinity;
pub use complaint::complaint;
pub use fault::{BUSY, Class, INTERRUPTED, SyncError};
pub use json::{
    DEEPEST, is_too_deep, read_elements, read_members, read_object, read_value, syntax_problem,
};
pub use mask::{mask_row, masked};
pub use nearest::nearest;
pub use number::compare_numbers;
pub use quoted::quoted;
pub use url::{origin, percent_encode};
pub use warning::{CODES as WARNING_CODES, Warning, add_warning};
