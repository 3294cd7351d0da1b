//! What a name may be, and reading names that are given in one form or another. `label` is what an error calls
//! the name.

use serde_json::value::RawValue;

use super::error::{Error, Result};
use super::value::ValueRef;
use crate::ground::key::Takes;
use crate::ground::{read_elements, read_value};

/// Refuses what no name may be: empty, or holding a NUL character, where SQL's text functions and other
/// programs cut it off.
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

/// A name given as an SQL value.
///
/// # Errors
/// NULL, another type, what no name may be.
pub fn name_of<'a>(value: ValueRef<'a>, label: &str) -> Result<&'a str> {
    match value {
        ValueRef::Text(name) => checked_name(name, label),
        other => Err(Error::argument(format!(
            "{label} must be text, not {}",
            other.type_name()
        ))),
    }
}

/// A name given as JSON.
///
/// # Errors
/// Another type, what no name may be.
pub fn read_name(raw: &RawValue, label: &str) -> Result<String> {
    let name = read_value(raw, label).map_err(Error::Argument)?;
    Takes::Text.check(&name, label).map_err(Error::Argument)?;
    let name = name.as_str().unwrap_or_default();
    Ok(checked_name(name, label)?.to_owned())
}

/// The names of a JSON array.
///
/// # Errors
/// Anything but an array of names.
pub fn read_names(text: &str, label: &str) -> Result<Vec<String>> {
    let all = read_elements(text, label).map_err(Error::Argument)?;
    let all = all.iter().enumerate();
    all.map(|(position, element)| read_name(element, &format!("{label}[{position}]")))
        .collect()
}
