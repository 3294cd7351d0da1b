//! Names under which credentials are sent. Their values must come from `sync_secret`, never from a
//! configuration, which is kept in the database file.

const PARTS: &[&str] = &[
    "auth",
    "cookie",
    "token",
    "secret",
    "password",
    "apikey",
    "api-key",
    "api_key",
    "access_key",
];

/// Whether a name is one that credentials are sent under.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part);
    let is_author = has("author") && !has("authoriz") && !has("authoris");
    PARTS
        .iter()
        .any(|part| has(part) && !(*part == "auth" && is_author))
}

/// # Errors
/// The first of some names that is one of a credential; `place` says where it is written.
pub fn refuse_credentials<'a>(
    place: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), String> {
    match names.into_iter().find(|name| is_credential(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "{place} {name} would write a secret into the database; use token, secretHeaders, secretQuery or another \
             key that takes the name given to sync_secret"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_not_credentials() {
        for name in [
            "Authorization",
            "X-Auth",
            "x-api-key",
            "refreshToken",
            "authorisation",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["author", "author_id", "tables", "X-User"] {
            assert!(!is_credential(name), "{name}");
        }
    }
}
