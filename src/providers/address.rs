//! Addresses that a configuration has besides `url`.

use super::kind::Settings;
use crate::ground::{origin, quoted};

/// An address, or a path behind the origin of `url`.
pub fn check_place(key: &str, place: Option<&str>) -> Result<(), String> {
    let begins = |place: &str| {
        ["/", "http://", "https://"]
            .iter()
            .any(|start| place.starts_with(start))
    };
    match place.filter(|place| !begins(place)) {
        None => Ok(()),
        Some(place) => Err(format!(
            "{key} is {}; write an address, or a path that begins with a slash",
            quoted(place)
        )),
    }
}

/// The address that [`check_place`] has let pass.
pub fn placed(settings: &Settings, place: &str) -> String {
    match place.starts_with('/') {
        true => format!("{}{place}", origin(settings.text("url"))),
        false => place.to_owned(),
    }
}
