//! Reading arguments: what a function takes, said in its error when it gets something else.
//!
//! Every text that is given by itself follows the rule for names ([`name_of`]); what is given as JSON
//! is read by `json.rs`, names under the same rule.

use crate::store::{Call, Error, Result, ValueRef, name_of};

/// A text that must be there.
///
/// # Errors
/// NULL, another type, what no name may be.
pub fn text<'a>(call: &'a Call<'_>, index: usize, name: &str) -> Result<&'a str> {
    name_of(call.argument(index), name)
}

/// As [`text`]; NULL or absent gives none.
///
/// # Errors
/// Another type, what no name may be.
pub fn optional_text<'a>(call: &'a Call<'_>, index: usize, name: &str) -> Result<Option<&'a str>> {
    if call.argument(index).is_null() {
        return Ok(None);
    }
    text(call, index, name).map(Some)
}

/// An integer that must be there; a real is one when it is whole.
///
/// # Errors
/// NULL, another type.
pub fn integer(call: &Call<'_>, index: usize, name: &str) -> Result<i64> {
    let given = call.argument(index);
    given.as_whole().ok_or_else(|| {
        let given = match given {
            ValueRef::Real(real) => real.to_string(),
            other => other.type_name().to_owned(),
        };
        Error::argument(format!("{name} must be an integer, not {given}"))
    })
}

/// The attached file that a call acts on, unless it says otherwise.
pub const MAIN: &str = "main";

/// The schema argument of the functions that have nothing else to say.
///
/// # Errors
/// As [`optional_text`].
pub fn schema<'a>(call: &'a Call<'_>, index: usize) -> Result<&'a str> {
    Ok(optional_text(call, index, "schema")?.unwrap_or(MAIN))
}
