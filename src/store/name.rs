//! What a name may be.

use super::error::{Error, Result};

/// Refuses what no name may be: empty, or holding a NUL character, where SQL's text functions and other
/// programs cut it off. `label` is what the error calls it.
///
/// # Errors
/// See above.
pub fn checked_name<'a>(name: &'a str, label: &str) -> Result<&'a str> {
    if name.is_empty() {
        return Err(Error::argument(format!("{label} is empty")));
    }
    if name.contains('\0') {
        return Err(Error::argument(format!("{label} holds a NUL character")));
    }
    Ok(name)
}
